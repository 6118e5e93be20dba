/** Topics of the log (design §3). */
export type TopicName = 'mail.in' | 'mail.in.bulk' | 'mail.lane' | 'mail.control' | 'mail.dead' | 'mail.lease';

export interface LogRecord {
  /** Position in the partition: starts at 0, grows by 1, never reused. */
  readonly offset: number;
  /** Instant at which the log took the record, milliseconds since the epoch; never goes back within a partition. */
  readonly appendedAtMs: number;
  readonly value: Uint8Array;
}

export interface Marks {
  /** Lowest offset that can be read. */
  readonly low: number;
  /** Offset that the next durable record will get. */
  readonly high: number;
}

/**
 * An append that did not end well. The records may be in the log all the same when `inDoubt` is set; every reader
 * drops second copies by id.
 */
export class AppendFailed extends Error {
  override readonly name = 'AppendFailed';
  readonly reason: 'full' | 'failed' | 'closed';
  readonly inDoubt: boolean;
  constructor(reason: AppendFailed['reason'], options: { inDoubt: boolean; cause?: unknown }) {
    super(`append ${reason}${options.inDoubt ? ', in doubt' : ''}`, { cause: options.cause });
    this.reason = reason;
    this.inDoubt = options.inDoubt;
  }
}

/** A read below the low mark or above the high mark: records are missing. Never answered by a silent jump. */
export class OffsetGap extends Error {
  override readonly name = 'OffsetGap';
  readonly wanted: number;
  readonly marks: Marks;
  constructor(wanted: number, marks: Marks) {
    super(`offset ${wanted} is outside ${marks.low}..${marks.high}`);
    this.wanted = wanted;
    this.marks = marks;
  }
}

export interface GroupBatch {
  readonly topic: TopicName;
  readonly partition: number;
  /** Consecutive; the first one is the record after the last one handed over. Never empty. */
  readonly records: readonly LogRecord[];
  /** Offset below which everything was committed and acknowledged when the batch was handed over. */
  readonly committed: number;
}

export interface GroupOptions {
  readonly group: string;
  readonly topics: readonly TopicName[];
  /** Largest number of octets of values in one batch; a single larger record still comes. */
  readonly maxBatchOctets: number;
  /**
   * Called for one batch per partition at a time; partitions run side by side. Returns the offset to commit: everything
   * below it is done. A rejection stops the consumption: `consume` rejects with it.
   */
  readonly onBatch: (batch: GroupBatch) => Promise<number>;
  /**
   * Called when a partition's position is not in the log. That partition is read no more, the others go on. Left out:
   * `consume` rejects with the gap.
   */
  readonly onGap?: (topic: TopicName, partition: number, gap: OffsetGap) => void;
  readonly signal: AbortSignal;
}

/**
 * The log: append-only partitions under explicit numbers. Engines: memory, embedded (one machine), Kafka.
 * What Kafka cannot do is not promised here: no transactions over partitions, no keys, no headers, no compaction.
 */
export interface Log {
  /** Number of partitions of a topic; constant while the log is open. */
  partitions(topic: TopicName): number;
  /**
   * Appends values to one partition, next to each other and in order.
   *
   * Resolves with the offset of the first when all are durable (fsynced or on enough replicas). Appends to one
   * partition from one caller keep their order. At most 512 KiB a value: a larger one is a `RangeError`.
   *
   * @throws AppendFailed
   */
  append(topic: TopicName, partition: number, values: readonly Uint8Array[]): Promise<number>;
  /**
   * A partition for the next record that may go to any: one that is healthy, and where a batch fills. To be appended to at
   * once; what was appended stays with its partition, also when that gets slow.
   */
  anyPartition(topic: TopicName): number;
  /**
   * Durable records from `from` on, at most `maxOctets` of values but at least one record when there is one; empty at the end.
   *
   * @throws OffsetGap when `from` is below the low or above the high mark
   */
  read(topic: TopicName, partition: number, from: number, maxOctets: number): Promise<readonly LogRecord[]>;
  /**
   * Batches from `from` on, then waits for more, without polling. Ends when the signal aborts.
   *
   * @throws OffsetGap, also when a trim passes the reader
   */
  follow(topic: TopicName, partition: number, from: number, signal: AbortSignal): AsyncIterable<readonly LogRecord[]>;
  marks(topic: TopicName, partition: number): Promise<Marks>;
  /** Gives up the records below `below`, which is at most the high mark. A lower value than the low mark is a no-op. */
  trim(topic: TopicName, partition: number, below: number): Promise<void>;
  /**
   * Reads topics as a group, starting at the committed offset or at the low mark. Resolves when the signal aborts and the
   * running batches have ended and their commits are durable.
   *
   * @throws OffsetGap when the committed offset is not in the log and nobody listens for it
   */
  consume(options: GroupOptions): Promise<void>;
  /** Committed offset of a group; the low mark when it never committed. */
  committed(group: string, topic: TopicName, partition: number): Promise<number>;
  /** Octets of shared storage that this partition's low mark keeps from being given back; 0 where storage is not shared. */
  heldOctets(topic: TopicName, partition: number): number;
  /** Raised by every operator reset: positions compare only within one incarnation. */
  readonly incarnation: number;
  /** Ends pending appends with `AppendFailed{closed}` unless they get durable, then closes. */
  close(): Promise<void>;
}
