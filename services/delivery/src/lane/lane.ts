import { type Change, createLaneFold, type LaneFold, type LaneRecord, UnreadableRecord } from '@angarium/lanes';
import { type LogRecord, OffsetGap } from '@angarium/log';
import { decodeRecord, encodeRecord, type Kind } from '@angarium/records';
import type { DeliveryDeps } from '../deps.ts';
import { backoffMs, crash, pause, reasonOf } from '../pause.ts';
import { type AppendQueue, createAppendQueue } from './append-queue.ts';
import { createProgress, type LaneProgress } from './progress.ts';

export interface LaneHooks {
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

const READ_OCTETS = 1024 ** 2;

interface Running {
  state: Lane['state'];
  trouble: string;
  epoch: number;
  /** Offset of our `Owner` record; what is read up to it is replay. */
  barrier: number;
}

/**
 * Opens a lane: replays it from its low mark, writes the `Owner` record and follows it. The fold changes only by what is read.
 * A record that cannot be read, or records that are missing, halt the lane untrimmed; other lanes go on.
 */
export function openLane(number: number, deps: DeliveryDeps, hooks: LaneHooks): Lane {
  const { log, clock, logger } = deps;
  const stopping = new AbortController();
  const now: Running = { state: 'replaying', trouble: '', epoch: 0, barrier: Number.POSITIVE_INFINITY };
  const fold = createLaneFold({ lane: number, incarnation: log.incarnation });
  const progress = createProgress();
  const waiters: { readonly offset: number; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  let announce: () => void = () => {};
  let ended: Promise<void> = Promise.resolve();

  const queue = createAppendQueue({
    log,
    lane: number,
    clock,
    logger,
    maxRetryMs: deps.config.delivery.appendMaxRetryMs,
    signal: stopping.signal,
    onProgress: (failed) => {
      if (failed) announce();
      hooks.onAppend(failed);
    },
  });
  const endWaiters = (error: Error) => {
    for (const { reject } of waiters.splice(0)) reject(error);
  };
  const halt = (reason: string) => {
    now.state = 'halted';
    now.trouble = reason;
    logger.error({ lane: number, position: fold.position, reason, cure: 'docs/operations.md, a halted lane' }, 'delivery.lane.halted');
    endWaiters(new Error(`lane ${number} is halted: ${reason}`));
    hooks.onHalted(lane);
    announce();
  };

  const apply = (raw: LogRecord): void => {
    const decoded = decodeRecord(raw.value);
    if (decoded.is === 'corrupt') throw new UnreadableRecord(number, raw.offset, `corrupt: ${decoded.reason}`);
    if (decoded.is === 'unknown') {
      if (decoded.critical) throw new UnreadableRecord(number, raw.offset, 'written by a newer release');
      fold.pass(raw.offset);
      return;
    }
    const { offset, appendedAtMs } = raw;
    const record = { offset, appendedAtMs, octets: raw.value.length, kind: decoded.kind };
    progress.note(record);
    hooks.onRecord(lane, record, fold.apply(record));
  };
  const applyBatch = (records: readonly LogRecord[]): void => {
    try {
      for (const record of records) apply(record);
    } catch (error) {
      if (!(error instanceof UnreadableRecord)) crash(error);
      throw error;
    }
    if (now.state === 'replaying' && fold.position > now.barrier) {
      now.state = 'live';
      hooks.onLive(lane);
      announce();
    }
    for (let first = waiters[0]; first !== undefined && first.offset < fold.position; first = waiters[0]) waiters.shift()?.resolve();
    hooks.onBatch(lane);
  };

  const replay = async (): Promise<number> => {
    const { low, high } = await log.marks('mail.lane', number);
    let at = low;
    while (at < high && !stopping.signal.aborted) {
      const records = await log.read('mail.lane', number, at, READ_OCTETS);
      applyBatch(records);
      at = (records.at(-1)?.offset ?? at) + 1;
    }
    return at;
  };
  /** True: it may be tried again. */
  const survive = (error: unknown): boolean => {
    if (error instanceof OffsetGap || error instanceof UnreadableRecord) halt(reasonOf(error));
    else logger.error({ lane: number, reason: reasonOf(error) }, 'delivery.lane.read_failed');
    return now.state !== 'halted';
  };
  const own = async (): Promise<void> => {
    const owner = fold.ownerRecord(deps.ownerName, clock.nowMs());
    now.epoch = owner.epoch;
    now.barrier = await queue.append(encodeRecord({ $case: 'owner', value: owner }));
    applyBatch([]);
  };
  const run = async (): Promise<void> => {
    let at: number | undefined;
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      try {
        if (at === undefined) {
          at = await replay();
          own().catch((error: unknown) => {
            if (!stopping.signal.aborted) crash(error);
          });
        }
        for await (const records of log.follow('mail.lane', number, at, stopping.signal)) {
          applyBatch(records);
          at = fold.position;
          failures = -1;
        }
      } catch (error) {
        if (stopping.signal.aborted || !survive(error)) return;
        if (at === undefined) announce();
        await pause(clock, backoffMs(failures, deps.config.delivery.appendMaxRetryMs), stopping.signal);
      }
    }
  };

  const lane: Lane = {
    number,
    fold,
    progress,
    queue,
    get state() {
      return now.state;
    },
    get trouble() {
      return now.trouble;
    },
    get epoch() {
      return now.epoch;
    },
    append: (kind) => queue.append(encodeRecord(kind)),
    readTo: (offset) =>
      new Promise((resolve, reject) => {
        if (fold.position > offset) resolve();
        else if (now.state === 'halted' || now.state === 'stopped') reject(new Error(`lane ${number} is ${now.state}`));
        else {
          waiters.push({ offset, resolve, reject });
          waiters.sort((a, b) => a.offset - b.offset);
        }
      }),
    start: () =>
      new Promise((resolve) => {
        announce = resolve;
        ended = run();
        ended.catch(crash);
      }),
    async stop() {
      stopping.abort();
      if (now.state !== 'halted') now.state = 'stopped';
      endWaiters(new Error(`lane ${number} has stopped`));
      announce();
      await ended;
    },
  };
  return lane;
}
