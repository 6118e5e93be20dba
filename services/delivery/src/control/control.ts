import { type ControlFold, createControlFold } from '@angarium/lanes';
import { type LogRecord, OffsetGap } from '@angarium/log';
import { decodeRecord, encodeRecord, type Suspension } from '@angarium/records';
import type { DeliveryDeps } from '../deps.ts';
import { backoffMs, pause, reasonOf } from '../pause.ts';

/** `mail.control` as delivery sees it: what is suspended, and the newest lane table. */
export interface Control {
  readonly fold: ControlFold;
  /** Empty: all is well. */
  readonly trouble: string;
  /** Resolves when all that is in the log is read. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Resolves once it is in force here. */
  append(suspension: Suspension): Promise<void>;
}

const READ_OCTETS = 1024 ** 2;
const TOPIC = 'mail.control';

/** `onSuspension`: a scope was suspended or is no longer. Called before `start` resolves for what was suspended before. */
export function createControl(deps: DeliveryDeps, onSuspension: (suspension: Suspension) => void): Control {
  const { log, clock, logger } = deps;
  const fold = createControlFold();
  const stopping = new AbortController();
  const waiters: { readonly offset: number; readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  let position = 0;
  let trouble = '';
  let ended: Promise<void> = Promise.resolve();

  const apply = ({ offset, value }: LogRecord): void => {
    const decoded = decodeRecord(value);
    if (decoded.is === 'corrupt' || (decoded.is === 'unknown' && decoded.critical))
      throw new Error(`${TOPIC} offset ${offset} cannot be read by this release`);
    position = offset + 1;
    if (decoded.is !== 'known') return;
    const before = decoded.kind.$case === 'controlSnapshot' ? new Set(fold.suspensions.keys()) : undefined;
    fold.apply({ offset, kind: decoded.kind });
    if (decoded.kind.$case === 'suspension') onSuspension(decoded.kind.value);
    if (before !== undefined) for (const [scope, suspension] of fold.suspensions) if (!before.has(scope)) onSuspension(suspension);
  };
  const applyBatch = (records: readonly LogRecord[]): void => {
    for (const record of records) apply(record);
    for (const waiter of waiters.splice(0)) {
      if (waiter.offset < position) waiter.resolve();
      else waiters.push(waiter);
    }
  };
  const run = async (): Promise<void> => {
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      try {
        for await (const records of log.follow(TOPIC, 0, position, stopping.signal)) applyBatch(records);
      } catch (error) {
        if (stopping.signal.aborted) return;
        trouble = `${TOPIC}: ${reasonOf(error)}`;
        logger.error({ position, reason: reasonOf(error) }, 'delivery.control.failed');
        if (error instanceof OffsetGap) return;
        await pause(clock, backoffMs(failures, deps.config.delivery.appendMaxRetryMs), stopping.signal);
      }
    }
  };
  return {
    fold,
    get trouble() {
      return trouble;
    },
    async start() {
      const { low, high } = await log.marks(TOPIC, 0);
      position = low;
      while (position < high) applyBatch(await log.read(TOPIC, 0, position, READ_OCTETS));
      ended = run();
    },
    async stop() {
      stopping.abort();
      for (const { reject } of waiters.splice(0)) reject(new Error('delivery has stopped'));
      await ended;
    },
    async append(suspension) {
      const offset = await log.append(TOPIC, 0, [encodeRecord({ $case: 'suspension', value: suspension })]);
      if (offset < position) return;
      await new Promise<void>((resolve, reject) => waiters.push({ offset, resolve, reject }));
    },
  };
}
