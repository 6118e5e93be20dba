import { type Change, createLaneFold, type LaneFold, type LaneRecord, UnreadableRecord } from '@angarium/lanes';
import { type LogRecord, OffsetGap } from '@angarium/log';
import { decodeRecord, encodeRecord, type Kind } from '@angarium/records';
import type { DeliveryDeps } from '../deps.ts';
import { type Awaiting, createAwaiting } from '../log/awaiting.ts';
import { followRecords, readRecords } from '../log/following.ts';
import { backoffMs, crash, pause, reasonOf } from '../pause.ts';
import { type AppendQueue, createAppendQueue } from './append-queue.ts';
import { createProgress, type LaneProgress } from './progress.ts';

export interface LaneHooks {
  /** Reading begins at this offset. */
  readonly onStart: (lane: Lane, position: number) => void;
  /** A record was read and has changed the fold; also while the lane is replayed. */
  readonly onRecord: (lane: Lane, record: LaneRecord<Kind>, change: Change) => void;
  /** The lane is ours and read to our own `Owner` record. */
  readonly onLive: (lane: Lane) => void;
  /** A batch of records was read. */
  readonly onBatch: (lane: Lane) => void;
  readonly onAppend: (failed: boolean) => void;
  readonly onHalted: (lane: Lane) => void;
}

/** One lane of the queue and its fold, owned by this process once it is `live`. */
export interface Lane {
  readonly number: number;
  readonly fold: LaneFold;
  readonly state: 'replaying' | 'live' | 'halted' | 'stopped';
  /** Why it is halted. */
  readonly trouble: string;
  /** Of our `Owner` record. */
  readonly epoch: number;
  readonly progress: LaneProgress;
  readonly queue: AppendQueue;
  append(kind: Kind): Promise<number>;
  /** Resolves once the fold has seen the record at this offset; rejects when the lane halts or stops before. */
  readTo(offset: number): Promise<void>;
  /** Reads and owns the lane. Resolves when it is live or halted, or when the log has refused our `Owner` record once. */
  start(): Promise<void>;
  /** Stops reading and writing. */
  stop(): Promise<void>;
}

interface Reader {
  readonly deps: DeliveryDeps;
  readonly hooks: LaneHooks;
  readonly awaiting: Awaiting;
  readonly signal: AbortSignal;
  readonly lane: { -readonly [K in keyof Lane]: Lane[K] };
  /** Offset of our `Owner` record; what is read up to it is replay. */
  barrier: number;
  /** `start` may resolve. */
  announce: () => void;
}

function apply({ lane, hooks }: Reader, raw: LogRecord): void {
  const { number, fold, progress } = lane;
  const decoded = decodeRecord(raw.value);
  if (decoded.is === 'corrupt') throw new UnreadableRecord(number, raw.offset, `corrupt: ${decoded.reason}`);
  if (decoded.is === 'unknown') {
    if (decoded.critical) throw new UnreadableRecord(number, raw.offset, 'written by a newer release');
    fold.pass(raw.offset);
    return;
  }
  const record = { offset: raw.offset, appendedAtMs: raw.appendedAtMs, octets: raw.value.length, kind: decoded.kind };
  progress.note(record);
  hooks.onRecord(lane, record, fold.apply(record));
}

function applyBatch(reader: Reader, records: readonly LogRecord[]): void {
  const { lane, hooks, awaiting } = reader;
  try {
    for (const record of records) apply(reader, record);
  } catch (error) {
    if (!(error instanceof UnreadableRecord)) crash(error);
    throw error;
  }
  if (lane.state === 'replaying' && lane.fold.position > reader.barrier) {
    lane.state = 'live';
    hooks.onLive(lane);
    reader.announce();
  }
  awaiting.reached(lane.fold.position);
  hooks.onBatch(lane);
}

function halt({ lane, deps, awaiting, hooks, announce }: Reader, reason: string): void {
  lane.state = 'halted';
  lane.trouble = reason;
  const { number, fold } = lane;
  const cure = 'the lane stays as it is: start the release that wrote the record, or restore the log';
  deps.logger.error({ lane: number, position: fold.position, reason, cure }, 'delivery.lane.halted');
  awaiting.fail(new Error(`lane ${number} is halted: ${reason}`));
  hooks.onHalted(lane);
  announce();
}

/** True: reading may be tried again. Records that are missing or cannot be read halt the lane untrimmed. */
function survives(reader: Reader, error: unknown): boolean {
  if (error instanceof OffsetGap || error instanceof UnreadableRecord) {
    halt(reader, reasonOf(error));
    return false;
  }
  reader.deps.logger.error({ lane: reader.lane.number, reason: reasonOf(error) }, 'delivery.lane.read_failed');
  reader.announce();
  return true;
}

async function own(reader: Reader): Promise<void> {
  const { lane, deps } = reader;
  const owner = lane.fold.ownerRecord(deps.ownerName, deps.clock.nowMs());
  lane.epoch = owner.epoch;
  reader.barrier = await lane.queue.append(encodeRecord({ $case: 'owner', value: owner }));
  applyBatch(reader, []);
}

/** Reads what is in the lane; undefined: it is halted or stopped. */
async function replay(reader: Reader, at: { topic: 'mail.lane'; partition: number; signal: AbortSignal }): Promise<number | undefined> {
  const { lane, deps, hooks, signal } = reader;
  const apply = (records: readonly LogRecord[]) => applyBatch(reader, records);
  let isStarted = false;
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const { low } = await deps.log.marks(at.topic, at.partition);
      if (!isStarted) hooks.onStart(lane, low);
      isStarted = true;
      return await readRecords(deps, { ...at, from: Math.max(low, lane.fold.position), apply });
    } catch (error) {
      if (!survives(reader, error)) return undefined;
      await pause(deps.clock, backoffMs(failures, deps.config.delivery.appendMaxRetryMs), signal);
    }
  }
  return undefined;
}

/** Replay up to the end, then our `Owner` record, then whatever comes. */
async function read(reader: Reader): Promise<void> {
  const { lane, deps, signal } = reader;
  const at = { topic: 'mail.lane', partition: lane.number, signal } as const;
  const from = await replay(reader, at);
  if (from === undefined) return;
  own(reader).catch((error: unknown) => {
    if (!signal.aborted && lane.state !== 'halted')
      deps.logger.error({ lane: lane.number, reason: reasonOf(error) }, 'delivery.lane.not_owned');
  });
  const apply = (records: readonly LogRecord[]) => applyBatch(reader, records);
  await followRecords(deps, { ...at, from, apply, onTrouble: (error) => survives(reader, error) });
}

/**
 * Opens a lane: replays it from its low mark, writes the `Owner` record and follows it. The fold changes only by what is read.
 * A record that cannot be read, or records that are missing, halt the lane untrimmed; other lanes go on.
 */
export function openLane(number: number, deps: DeliveryDeps, hooks: LaneHooks): Lane {
  const { log, clock, logger, config } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const awaiting = createAwaiting();
  let ended: Promise<void> = Promise.resolve();
  const onProgress = (failed: boolean) => {
    if (failed) reader.announce();
    hooks.onAppend(failed);
  };
  const queue = createAppendQueue({ log, lane: number, clock, logger, maxRetryMs: config.delivery.appendMaxRetryMs, signal, onProgress });
  const lane: Reader['lane'] = {
    number,
    fold: createLaneFold({ lane: number, incarnation: log.incarnation }),
    state: 'replaying',
    trouble: '',
    epoch: 0,
    progress: createProgress(),
    queue,
    append: (kind) => queue.append(encodeRecord(kind)),
    readTo: (offset) => awaiting.until(offset),
    start: () =>
      new Promise((resolve) => {
        reader.announce = resolve;
        ended = read(reader);
        ended.catch(crash);
      }),
    async stop() {
      stopping.abort();
      if (lane.state !== 'halted') lane.state = 'stopped';
      awaiting.fail(new Error(`lane ${number} has stopped`));
      reader.announce();
      await ended;
    },
  };
  const reader: Reader = { deps, hooks, awaiting, signal, lane, barrier: Number.POSITIVE_INFINITY, announce: () => {} };
  return lane;
}
