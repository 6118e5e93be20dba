import { type ControlFold, createControlFold } from '@angarium/lanes';
import { type LogRecord, OffsetGap } from '@angarium/log';
import { decodeRecord, encodeRecord, type Suspension } from '@angarium/records';
import type { DeliveryDeps } from '../deps.ts';
import { createAwaiting } from '../log/awaiting.ts';
import { followRecords, readRecords } from '../log/following.ts';
import { crash, reasonOf } from '../pause.ts';

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

/** `onSuspension`: a scope is suspended, or no longer; also, before `start` resolves, for what the log already says. */
export function createControl(deps: DeliveryDeps, onSuspension: (suspension: Suspension) => void): Control {
  const { log, logger } = deps;
  const fold = createControlFold();
  const stopping = new AbortController();
  const { signal } = stopping;
  const awaiting = createAwaiting();
  let trouble = '';
  let ended: Promise<void> = Promise.resolve();

  const apply = (records: readonly LogRecord[]): void => {
    for (const record of records) {
      for (const suspension of applyRecord(fold, record)) onSuspension(suspension);
      awaiting.reached(record.offset + 1);
    }
  };
  const onTrouble = (error: unknown): boolean => {
    trouble = `${AT.topic}: ${reasonOf(error)}`;
    logger.error({ reason: reasonOf(error) }, 'delivery.control.failed');
    return !(error instanceof OffsetGap);
  };
  return {
    fold,
    get trouble() {
      return trouble;
    },
    async start() {
      const { low } = await log.marks(AT.topic, AT.partition);
      const from = await readRecords(deps, { ...AT, from: low, signal, apply });
      ended = followRecords(deps, { ...AT, from, signal, apply, onTrouble });
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
