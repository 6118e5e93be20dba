import { type Change, createLaneFold, type Inheritance, type LaneFold, type LaneRecord, UnreadableRecord } from '@angarium/lanes';
import { type LogRecord, OffsetGap } from '@angarium/log';
import { decodeRecord, encodeRecord, type Kind, type Owner } from '@angarium/records';
import type { DeliveryDeps } from '../deps.ts';
import { type Awaiting, createAwaiting } from '../log/awaiting.ts';
import { followRecords, readRecords } from '../log/following.ts';
import { backoffMs, crash, pause, reasonOf } from '../pause.ts';
import { type AppendQueue, createAppendQueue } from './append-queue.ts';
import { createProgress, type LaneProgress } from './progress.ts';
import { createWire, type Wire } from './wire.ts';

export interface LaneHooks {
  /** Reading begins at this offset. */
  readonly onStart: (lane: Lane, position: number) => void;
  /** A record was read and has changed the fold; also while the lane is replayed. */
  readonly onRecord: (lane: Lane, record: LaneRecord<Kind>, change: Change) => void;
  /** Whether the lease still lets us write `Owner`. */
  readonly mayOwn: (lane: Lane) => boolean;
  /** The lane is ours and read to our own `Owner` record. */
  readonly onLive: (lane: Lane) => void;
  /** The journal has an epoch that is not below the one of our lease: `raise`, or somebody else has the lane. */
  readonly onOutdated: (lane: Lane) => void;
  /** A batch of records was read. */
  readonly onBatch: (lane: Lane) => void;
  readonly onAppend: (failed: boolean) => void;
  readonly onHalted: (lane: Lane) => void;
}

/** One lane of the queue and its fold, while this process owns it: another tenure has another one. */
export interface Lane {
  readonly number: number;
  readonly fold: LaneFold;
  /**
   * `draining`: starts nothing. `former`: no longer ours, and not read; final facts about what was sent are still written.
   */
  readonly state: 'replaying' | 'live' | 'draining' | 'former' | 'halted' | 'stopped';
  /** Why it is halted. */
  readonly trouble: string;
  /** Of our lease and our `Owner` record. */
  readonly epoch: number;
  readonly progress: LaneProgress;
  readonly queue: AppendQueue;
  readonly wire: Wire;
  /** As of the last round of upkeep: what is published with the lease. */
  watermark: number;
  append(kind: Kind): Promise<number>;
  /** Resolves once the fold has seen the record at this offset; rejects when the lane is no longer read before. */
  readTo(offset: number): Promise<void>;
  /** Reads and owns the lane. Resolves when it is live or no longer ours, or when the log has refused our `Owner` record once. */
  start(): Promise<void>;
  /** The lease has a higher epoch now, before `Owner` was written. */
  raise(epoch: number): void;
  drain(): void;
  /** Reads no more. */
  retire(): void;
  /** Stops reading and writing. */
  stop(): Promise<void>;
}

export interface Tenure {
  readonly number: number;
  readonly epoch: number;
  readonly inherited: Inheritance;
  /** That the owners before published: they may trim to there while we read. */
  readonly watermark: number;
}

interface Reader {
  readonly deps: DeliveryDeps;
  readonly hooks: LaneHooks;
  readonly awaiting: Awaiting;
  readonly tenure: Tenure;
  /** Of reading. */
  readonly signal: AbortSignal;
  readonly lane: { -readonly [K in keyof Lane]: Lane[K] };
  /** Offset of our `Owner` record; what is read up to it is replay. */
  barrier: number;
  /** `start` may resolve. */
  announce: () => void;
  /** The lease has changed. */
  wake: () => void;
  /** `Owner` is to be written, or is on its way. */
  isOwning: boolean;
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
  const { lane, hooks, awaiting, signal } = reader;
  try {
    for (const record of records) if (!signal.aborted) apply(reader, record);
  } catch (error) {
    if (!(error instanceof UnreadableRecord)) crash(error);
    throw error;
  }
  if (lane.state === 'replaying' && lane.fold.position > reader.barrier && lane.fold.epoch === lane.epoch) {
    lane.state = 'live';
    hooks.onLive(lane);
    reader.announce();
  }
  awaiting.reached(lane.fold.position);
  const isRead = lane.state === 'live' || (lane.state === 'replaying' && lane.fold.position > reader.barrier);
  if (isRead && lane.fold.epoch > lane.epoch) hooks.onOutdated(lane);
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
  if (reader.signal.aborted) return false;
  // Who stood still is overtaken by the trims of the next owner, and learns from the leases that there is one.
  const isOvertaken = error instanceof OffsetGap && reader.barrier < Number.POSITIVE_INFINITY && !reader.hooks.mayOwn(reader.lane);
  if (isOvertaken) return true;
  if (error instanceof OffsetGap || error instanceof UnreadableRecord) {
    halt(reader, reasonOf(error));
    return false;
  }
  reader.deps.logger.error({ lane: reader.lane.number, reason: reasonOf(error) }, 'delivery.lane.read_failed');
  reader.announce();
  return true;
}

const LOOK_AGAIN_MS = 100;

/** Resolves when the lease may have changed, and now and then. */
function untilLeased(reader: Reader): Promise<void> {
  return new Promise((resolve) => {
    reader.wake = resolve;
    void pause(reader.deps.clock, LOOK_AGAIN_MS, reader.signal).then(resolve);
  });
}

/** Who left a lane in order died of nothing. */
function ownerRecord({ lane, deps, tenure }: Reader): Owner {
  const record = lane.fold.ownerRecord(deps.ownerName, deps.clock.nowMs());
  return { ...record, epoch: lane.epoch, ...(tenure.inherited === 'released' ? { recentDeaths: 0 } : {}) };
}

/** Writes `Owner` once the lease allows it and is above all that the journal has seen. */
async function own(reader: Reader): Promise<void> {
  const { lane, hooks, signal } = reader;
  reader.isOwning = true;
  for (let written = 0; written !== lane.epoch && !signal.aborted; ) {
    if (lane.fold.epoch >= lane.epoch) hooks.onOutdated(lane);
    if (lane.fold.epoch >= lane.epoch || !hooks.mayOwn(lane)) await untilLeased(reader);
    else {
      const value = ownerRecord(reader);
      reader.barrier = await lane.queue.append(encodeRecord({ $case: 'owner', value }));
      written = value.epoch;
    }
  }
  reader.isOwning = false;
  applyBatch(reader, []);
}

function ownInTime(reader: Reader): void {
  const { lane, deps, signal } = reader;
  own(reader).catch((error: unknown) => {
    if (!signal.aborted && lane.state !== 'halted')
      deps.logger.error({ lane: lane.number, reason: reasonOf(error) }, 'delivery.lane.not_owned');
  });
}

const createFold = ({ log }: DeliveryDeps, lane: number): LaneFold => createLaneFold({ lane, incarnation: log.incarnation });

/** The owner before has trimmed what was not read yet: from the new low mark the fold is the same. */
function isTrimmed({ lane, tenure }: Reader, error: unknown): boolean {
  return error instanceof OffsetGap && error.marks.low > lane.fold.position && error.marks.low <= tenure.watermark;
}

/** Reads what is in the lane; undefined: it is halted or stopped. */
async function replay(reader: Reader, at: { topic: 'mail.lane'; partition: number; signal: AbortSignal }): Promise<number | undefined> {
  const { lane, deps, hooks, signal } = reader;
  const apply = (records: readonly LogRecord[]) => applyBatch(reader, records);
  let from = -1;
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const { low } = await deps.log.marks(at.topic, at.partition);
      if (signal.aborted) return undefined;
      if (from < 0) hooks.onStart(lane, low);
      from = Math.max(from, low);
      lane.watermark = Math.max(lane.watermark, low);
      return await readRecords(deps, { ...at, from: Math.max(from, lane.fold.position), apply });
    } catch (error) {
      if (isTrimmed(reader, error)) {
        lane.fold = createFold(deps, lane.number);
        from = -1;
      } else if (!survives(reader, error)) return undefined;
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
  ownInTime(reader);
  const apply = (records: readonly LogRecord[]) => applyBatch(reader, records);
  await followRecords(deps, { ...at, from, apply, onTrouble: (error) => survives(reader, error) });
}

/** What its owner does with it. */
function laneOrders(reader: () => Reader, ends: { readonly reading: AbortController; readonly writing: AbortController }) {
  let ended: Promise<void> = Promise.resolve();
  const endReading = (state: 'former' | 'stopped') => {
    const { lane, awaiting, announce } = reader();
    ends.reading.abort();
    if (lane.state !== 'halted' || state === 'former') lane.state = state;
    awaiting.fail(new Error(`lane ${lane.number} is ${lane.state}`));
    announce();
  };
  return {
    start: () =>
      new Promise<void>((resolve) => {
        reader().announce = resolve;
        ended = read(reader());
        ended.catch(crash);
      }),
    raise(epoch: number) {
      reader().lane.epoch = epoch;
      if (reader().isOwning) reader().wake();
      else if (reader().barrier < Number.POSITIVE_INFINITY) ownInTime(reader());
    },
    drain() {
      const { lane } = reader();
      if (lane.state === 'live') lane.state = 'draining';
    },
    retire: () => endReading('former'),
    async stop() {
      ends.writing.abort();
      endReading('stopped');
      await ended;
    },
  };
}

/**
 * Opens a lane: replays it from its low mark, writes the `Owner` record and follows it. The fold changes only by what is read.
 * A record that cannot be read, or records that are missing, halt the lane untrimmed; other lanes go on.
 */
export function openLane(tenure: Tenure, deps: DeliveryDeps, hooks: LaneHooks): Lane {
  const { log, clock, logger, config } = deps;
  const { number, epoch } = tenure;
  const ends = { reading: new AbortController(), writing: new AbortController() };
  const awaiting = createAwaiting();
  const onProgress = (failed: boolean) => {
    if (failed) reader.announce();
    hooks.onAppend(failed);
  };
  const { signal } = ends.writing;
  const queue = createAppendQueue({ log, lane: number, clock, logger, maxRetryMs: config.delivery.appendMaxRetryMs, signal, onProgress });
  const lane: Reader['lane'] = {
    number,
    fold: createFold(deps, number),
    state: 'replaying',
    trouble: '',
    epoch,
    progress: createProgress(),
    queue,
    wire: createWire(),
    watermark: 0,
    append: (kind) => queue.append(encodeRecord(kind)),
    readTo: (offset) => awaiting.until(offset),
    ...laneOrders(() => reader, ends),
  };
  const reader: Reader = {
    ...{ deps, hooks, awaiting, tenure, lane, signal: ends.reading.signal },
    barrier: Number.POSITIVE_INFINITY,
    isOwning: false,
    announce: () => {},
    wake: () => {},
  };
  return lane;
}
