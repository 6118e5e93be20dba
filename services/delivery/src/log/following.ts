import { type LogRecord, OffsetGap, type TopicName } from '@angarium/log';
import type { DeliveryDeps } from '../deps.ts';
import { backoffMs, pause } from '../pause.ts';

export interface Following {
  readonly topic: TopicName;
  readonly partition: number;
  readonly from: number;
  readonly signal: AbortSignal;
  readonly apply: (records: readonly LogRecord[]) => void;
  /** Reading failed; it is tried again after a pause if this returns true. */
  readonly onTrouble: (error: unknown) => boolean;
}

const READ_OCTETS = 1024 ** 2;

/** Hands all records of a partition to `apply`, then those that come. Ends when the signal aborts or the log is closed. */
export async function followRecords({ log, clock, config }: DeliveryDeps, o: Following): Promise<void> {
  let position = o.from;
  for (let failures = 0; !o.signal.aborted; failures++) {
    try {
      for await (const records of log.follow(o.topic, o.partition, position, o.signal)) {
        o.apply(records);
        position = (records.at(-1)?.offset ?? position - 1) + 1;
        failures = 0;
      }
      return;
    } catch (error) {
      if (o.signal.aborted || !o.onTrouble(error)) return;
      await pause(clock, backoffMs(failures, config.delivery.appendMaxRetryMs), o.signal);
    }
  }
}

/** Hands what is in a partition now, from `from` on, to `apply`; returns where to read on. */
export async function readRecords(
  { log }: DeliveryDeps,
  o: Pick<Following, 'topic' | 'partition' | 'from' | 'apply' | 'signal'>,
): Promise<number> {
  const { low, high } = await log.marks(o.topic, o.partition);
  let position = o.from;
  while (position < high && !o.signal.aborted) {
    const records = await log.read(o.topic, o.partition, position, READ_OCTETS);
    if (records.length === 0) throw new OffsetGap(position, { low, high });
    o.apply(records);
    position = (records.at(-1)?.offset ?? position) + 1;
  }
  return position;
}
