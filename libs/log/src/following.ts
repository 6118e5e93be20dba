import { type GroupOptions, type LogRecord, type Marks, OffsetGap, type TopicName } from './port.ts';

/** What an engine gives so that following and group consumption are the same in all of them. */
export interface Readable {
  partitions(topic: TopicName): number;
  read(topic: TopicName, partition: number, from: number, maxOctets: number): Promise<readonly LogRecord[]>;
  marks(topic: TopicName, partition: number): Promise<Marks>;
  /**
   * Resolves when the partition has a record at `offset` or more, is trimmed past it, the log closes, or the signal aborts; now
   * and then without any of these. At once for an offset above the end: reading it is what tells.
   */
  changed(topic: TopicName, partition: number, offset: number, signal: AbortSignal): Promise<void>;
  readonly isClosed: () => boolean;
}

/** Where a group's positions are kept. */
export interface Positions {
  committed(group: string, topic: TopicName, partition: number): Promise<number>;
  /** Notes the position; it may become durable later, with other records. */
  commit(group: string, topic: TopicName, partition: number, offset: number): void;
  /** Resolves when everything noted so far is durable. */
  flush(): Promise<void>;
}

const FOLLOW_OCTETS = 1024 ** 2;

interface Place {
  readonly topic: TopicName;
  readonly partition: number;
  readonly from: number;
}

export async function* follow(log: Readable, { topic, partition, from }: Place, signal: AbortSignal): AsyncGenerator<readonly LogRecord[]> {
  let at = from;
  for (;;) {
    await log.changed(topic, partition, at, signal);
    if (signal.aborted || log.isClosed()) return;
    const records = await log.read(topic, partition, at, FOLLOW_OCTETS);
    at = (records.at(-1)?.offset ?? at - 1) + 1;
    if (records.length > 0 && !signal.aborted) yield records;
  }
}

export async function consume(log: Readable, positions: Positions, options: GroupOptions): Promise<void> {
  const { group, topics, maxBatchOctets, onBatch } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const run = async (topic: TopicName, partition: number) => {
    let at = await positions.committed(group, topic, partition);
    for (;;) {
      await log.changed(topic, partition, at, signal);
      if (signal.aborted || log.isClosed()) return;
      const records = await log.read(topic, partition, at, maxBatchOctets);
      if (records.length === 0) continue;
      if (signal.aborted) return;
      const committed = await positions.committed(group, topic, partition);
      at = await onBatch({ topic, partition, records, committed });
      positions.commit(group, topic, partition, at);
    }
  };
  const runs = topics.flatMap((topic) =>
    Array.from({ length: log.partitions(topic) }, (_, partition) =>
      run(topic, partition).catch((error: unknown) => {
        if (error instanceof OffsetGap && options.onGap) return options.onGap(topic, partition, error);
        failed.abort();
        throw error;
      }),
    ),
  );
  const ended = await Promise.allSettled(runs);
  if (!log.isClosed()) await positions.flush();
  const failure = ended.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}
