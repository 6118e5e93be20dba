import { type ControlFold, createControlFold } from '@angarium/lanes';
import { type LogRecord, OffsetGap } from '@angarium/log';
import { decodeRecord, encodeRecord, type Suspension } from '@angarium/records';
import type { DeliveryDeps } from '../deps.ts';
import { createAwaiting } from '../log/awaiting.ts';
import { type Following, followRecords, readRecords } from '../log/following.ts';
import { backoffMs, crash, pause, reasonOf } from '../pause.ts';

/** `mail.control` as delivery sees it: what is suspended, and the newest lane table. */
export interface Control {
  readonly fold: ControlFold;
  /** Empty: all is well. */
  readonly trouble: string;
  /**
   * Resolves when all that is in the log is read and in force.
   *
   * @throws when a record cannot be read by this release
   */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Says in one record what many say, and gives those up. */
  tend(): Promise<void>;
  /** Resolves once it is in force here. */
  append(suspension: Suspension): Promise<void>;
}

/** Records since the last snapshot at which another one is written. */
const SNAPSHOT_EVERY = 1000;
const AT = { topic: 'mail.control', partition: 0 } as const;

/** Applies a record. Returns the suspensions that begin or end by it. */
function applyRecord(fold: ControlFold, { offset, value }: LogRecord): readonly Suspension[] {
  const decoded = decodeRecord(value);
  if (decoded.is === 'corrupt' || (decoded.is === 'unknown' && decoded.critical))
    throw new Error(`${AT.topic} offset ${offset} cannot be read by this release`);
  if (decoded.is !== 'known') return [];
  const before = new Set(fold.suspensions.keys());
  fold.apply({ offset, kind: decoded.kind });
  if (decoded.kind.$case === 'suspension') return [decoded.kind.value];
  return [...fold.suspensions.values()].filter(({ scope }) => !before.has(scope));
}

/** Suspensions that begin or end from one state to another. */
function changesBetween(before: ControlFold, after: ControlFold): readonly Suspension[] {
  const begun = [...after.suspensions.values()].filter(({ scope }) => !before.suspensions.has(scope));
  const ended = [...before.suspensions.values()].filter(({ scope }) => !after.suspensions.has(scope));
  return [...begun, ...ended.map((suspension) => ({ ...suspension, suspended: false }))];
}

async function readAfresh(deps: DeliveryDeps, signal: AbortSignal): Promise<{ readonly fresh: ControlFold; readonly position: number }> {
  const fresh = createControlFold();
  const apply = (records: readonly LogRecord[]) => {
    for (const record of records) applyRecord(fresh, record);
  };
  const { low } = await deps.log.marks(AT.topic, AT.partition);
  return { fresh, position: await readRecords(deps, { ...AT, from: low, signal, apply }) };
}

/** Follows the topic. Who was overtaken by a trim, because it stood still, reads what is left anew: a snapshot says it all. */
async function followAnew(
  deps: DeliveryDeps,
  from: number,
  o: Omit<Following, 'topic' | 'partition' | 'from'> & { anew: () => Promise<number> },
) {
  let isLost = false;
  const onTrouble = (error: unknown): boolean => {
    isLost = error instanceof OffsetGap;
    return o.onTrouble(error) && !isLost;
  };
  let position = from;
  do {
    isLost = false;
    await followRecords(deps, { ...AT, from: position, signal: o.signal, apply: o.apply, onTrouble });
    for (let failures = 0; isLost && !o.signal.aborted; failures++) {
      try {
        position = await o.anew();
        break;
      } catch (error) {
        o.onTrouble(error);
      }
      await pause(deps.clock, backoffMs(failures, deps.config.delivery.appendMaxRetryMs), o.signal);
    }
  } while (isLost && !o.signal.aborted);
}

/** `onSuspension`: a scope is suspended, or no longer; also, before `start` resolves, for what the log already says. */
export function createControl(deps: DeliveryDeps, onSuspension: (suspension: Suspension) => void): Control {
  const { log, logger } = deps;
  let fold = createControlFold();
  const stopping = new AbortController();
  const { signal } = stopping;
  const awaiting = createAwaiting();
  let trouble = '';
  let ended: Promise<void> = Promise.resolve();

  const apply = (records: readonly LogRecord[]): void => {
    trouble = '';
    for (const record of records) {
      for (const suspension of applyRecord(fold, record)) onSuspension(suspension);
      awaiting.reached(record.offset + 1);
    }
  };
  const onTrouble = (error: unknown): boolean => {
    trouble = `${AT.topic}: ${reasonOf(error)}`;
    logger.error({ reason: reasonOf(error) }, 'delivery.control.failed');
    return true;
  };
  const anew = async (): Promise<number> => {
    const { fresh, position } = await readAfresh(deps, signal);
    const changes = changesBetween(fold, fresh);
    fold = fresh;
    trouble = '';
    for (const change of changes) onSuspension(change);
    awaiting.reached(position);
    return position;
  };
  return {
    get fold() {
      return fold;
    },
    get trouble() {
      return trouble;
    },
    async start() {
      const { low } = await log.marks(AT.topic, AT.partition);
      const from = await readRecords(deps, { ...AT, from: low, signal, apply });
      ended = followAnew(deps, from, { signal, apply, onTrouble, anew });
      ended.catch(crash);
    },
    async stop() {
      stopping.abort();
      awaiting.fail(new Error('delivery has stopped'));
      await ended;
    },
    async tend() {
      const { low, high } = await log.marks(AT.topic, AT.partition);
      if (high - Math.max(low, fold.watermark) > SNAPSHOT_EVERY) {
        const value = encodeRecord({ $case: 'controlSnapshot', value: fold.snapshot() });
        await awaiting.until(await log.append(AT.topic, AT.partition, [value]));
      }
      if (fold.watermark > low) await log.trim(AT.topic, AT.partition, fold.watermark);
    },
    append: async (suspension) =>
      awaiting.until(await log.append(AT.topic, AT.partition, [encodeRecord({ $case: 'suspension', value: suspension })])),
  };
}
