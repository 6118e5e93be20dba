import type { LeaseRecord } from '@angarium/lanes';
import { type LogRecord, OffsetGap } from '@angarium/log';
import { decodeRecord } from '@angarium/records';
import type { DeliveryDeps } from '../deps.ts';
import { type Awaiting, createAwaiting } from '../log/awaiting.ts';
import { backoffMs, crash, pause, reasonOf } from '../pause.ts';

export const LEASES = { topic: 'mail.lease', partition: 0 } as const;

export interface LeaseReaderHooks {
  /** Reading begins at the low mark; also when it begins anew. */
  readonly onStart: (low: number) => void;
  readonly onRecords: (records: readonly LeaseRecord[]) => void;
  /** The position is not in the log any more. */
  readonly onLost: () => void;
  readonly onTrouble: (error: unknown) => void;
}

/** Follows `mail.lease` from its low mark. */
export interface LeaseReader {
  start(): void;
  /** Begins anew at the low mark. */
  restart(): void;
  /** Resolves when the record at the offset was handed over. */
  readTo(offset: number): Promise<void>;
  stop(): Promise<void>;
}

/** A record that this release cannot read may decide who owns a lane: whoever goes on guesses. */
class UnreadableLease extends Error {
  override readonly name = 'UnreadableLease';
  constructor(offset: number, reason: string) {
    super(`${LEASES.topic} offset ${offset} ${reason}: start the release that wrote it`);
  }
}

function decode({ offset, appendedAtMs, value }: LogRecord): readonly LeaseRecord[] {
  const decoded = decodeRecord(value);
  if (decoded.is === 'known') return [{ offset, appendedAtMs, kind: decoded.kind }];
  if (decoded.is === 'corrupt') throw new UnreadableLease(offset, `is corrupt (${decoded.reason})`);
  if (decoded.critical) throw new UnreadableLease(offset, 'was written by a newer release');
  return [];
}

interface Reading {
  readonly deps: DeliveryDeps;
  readonly hooks: LeaseReaderHooks;
  readonly stopping: AbortSignal;
  /** Undefined: reading begins anew. */
  position: number | undefined;
  /** Ends this reading. */
  restarting: AbortController;
  awaiting: Awaiting;
}

async function begin(reading: Reading): Promise<number> {
  const { low } = await reading.deps.log.marks(LEASES.topic, LEASES.partition);
  reading.awaiting.fail(new Error(`${LEASES.topic} is read anew`));
  Object.assign(reading, { position: low, restarting: new AbortController(), awaiting: createAwaiting() });
  reading.hooks.onStart(low);
  return low;
}

/** False: the log is closed, or reading has ended. */
async function readOn(reading: Reading, from: number): Promise<boolean> {
  const { deps, hooks, awaiting, restarting, stopping } = reading;
  const signal = AbortSignal.any([restarting.signal, stopping]);
  for await (const records of deps.log.follow(LEASES.topic, LEASES.partition, from, signal)) {
    const position = (records.at(-1)?.offset ?? from - 1) + 1;
    reading.position = position;
    hooks.onRecords(records.flatMap(decode));
    awaiting.reached(position);
  }
  if (restarting.signal.aborted) reading.position = undefined;
  return restarting.signal.aborted;
}

async function readAll(reading: Reading): Promise<void> {
  const { deps, hooks, stopping } = reading;
  for (let failures = 0; !stopping.aborted; failures++) {
    try {
      while (await readOn(reading, reading.position ?? (await begin(reading)))) failures = 0;
      return;
    } catch (error) {
      if (error instanceof UnreadableLease) throw error;
      if (stopping.aborted) return;
      if (error instanceof OffsetGap) {
        reading.position = undefined;
        hooks.onLost();
      }
      deps.logger.error({ reason: reasonOf(error) }, 'delivery.lease.read_failed');
      hooks.onTrouble(error);
    }
    await pause(deps.clock, backoffMs(failures, deps.config.delivery.appendMaxRetryMs), stopping);
  }
}

export function createLeaseReader(deps: DeliveryDeps, hooks: LeaseReaderHooks): LeaseReader {
  const stopping = new AbortController();
  const reading: Reading = {
    ...{ deps, hooks, stopping: stopping.signal },
    position: undefined,
    restarting: new AbortController(),
    awaiting: createAwaiting(),
  };
  let ended: Promise<void> = Promise.resolve();
  return {
    start() {
      ended = readAll(reading);
      ended.catch(crash);
    },
    restart: () => reading.restarting.abort(),
    readTo: (offset) => reading.awaiting.until(offset),
    async stop() {
      stopping.abort();
      reading.awaiting.fail(new Error('delivery has stopped'));
      await ended;
    },
  };
}
