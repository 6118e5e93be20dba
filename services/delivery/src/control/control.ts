import { type ControlFold, createControlFold } from '@angarium/lanes';
import { type LogRecord, OffsetGap } from '@angarium/log';
import { decodeRecord, encodeRecord, type Kind, type Suspension } from '@angarium/records';
import type { DeliveryDeps } from '../deps.ts';
import { createAwaiting } from '../log/awaiting.ts';
import { type Following, followRecords, readRecords } from '../log/following.ts';
import { backoffMs, crash, pause, reasonOf } from '../pause.ts';

/** `mail.control` as delivery sees it: what is suspended, the limits that were set, and the newest lane table. */
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
  append(order: Extract<Kind, { $case: 'suspension' | 'limitOrder' }>): Promise<void>;
}

/** Records since the last snapshot at which another one is written. */
const SNAPSHOT_EVERY = 1000;
const AT = { topic: 'mail.control', partition: 0 } as const;

/** What is in force from now on. */
interface Changes {
  /** That begin or end. */
  readonly suspensions: readonly Suspension[];
  /** Names of those that may have other values. */
  readonly limits: readonly string[];
}

const NONE: Changes = { suspensions: [], limits: [] };

/** Applies a record, and says what it changes. */
function applyRecord(fold: ControlFold, { offset, value }: LogRecord): Changes {
  const decoded = decodeRecord(value);
  if (decoded.is === 'corrupt' || (decoded.is === 'unknown' && decoded.critical))
    throw new Error(`${AT.topic} offset ${offset} cannot be read by this release`);
  if (decoded.is !== 'known') return NONE;
  const before = { suspensions: new Map(fold.suspensions), limitOrders: new Map(fold.limitOrders) };
  fold.apply({ offset, kind: decoded.kind });
  if (decoded.kind.$case === 'suspension') return { ...NONE, suspensions: [decoded.kind.value] };
  if (decoded.kind.$case === 'limitOrder') return { ...NONE, limits: [decoded.kind.value.name] };
  return changesBetween(before, fold);
}

type State = Pick<ControlFold, 'suspensions' | 'limitOrders'>;

function changesBetween(before: State, after: State): Changes {
  const begun = [...after.suspensions.values()].filter(({ scope }) => !before.suspensions.has(scope));
  const ended = [...before.suspensions.values()].filter(({ scope }) => !after.suspensions.has(scope));
  const suspensions = [...begun, ...ended.map((suspension) => ({ ...suspension, suspended: false }))];
  return { suspensions, limits: [...new Set([...before.limitOrders.keys(), ...after.limitOrders.keys()])] };
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

/** Called when something comes into force; also, before `start` resolves, for what the log already says. */
export interface ControlHooks {
  /** A scope is suspended, or no longer. */
  onSuspension(suspension: Suspension): void;
  /** A limit may have other values: see `fold`. */
  onLimit(name: string): void;
}

export function createControl(deps: DeliveryDeps, { onSuspension, onLimit }: ControlHooks): Control {
  const { log, logger } = deps;
  let fold = createControlFold();
  const stopping = new AbortController();
  const { signal } = stopping;
  const awaiting = createAwaiting();
  let trouble = '';
  let ended: Promise<void> = Promise.resolve();
  const append = async (kind: Kind) => awaiting.until(await log.append(AT.topic, AT.partition, [encodeRecord(kind)]));
  const enforce = ({ suspensions, limits }: Changes): void => {
    for (const suspension of suspensions) onSuspension(suspension);
    for (const name of limits) onLimit(name);
  };
  const apply = (records: readonly LogRecord[]): void => {
    trouble = '';
    for (const record of records) {
      enforce(applyRecord(fold, record));
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
    enforce(changes);
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
      if (high - Math.max(low, fold.watermark) > SNAPSHOT_EVERY) await append({ $case: 'controlSnapshot', value: fold.snapshot() });
      if (fold.watermark > low) await log.trim(AT.topic, AT.partition, fold.watermark);
    },
    append,
  };
}
