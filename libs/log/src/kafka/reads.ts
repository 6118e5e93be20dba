import { setTimeout as pause } from 'node:timers/promises';
import { AppendFailed, type LogRecord, type Marks, OffsetGap } from '../port.ts';
import { type Cluster, LogUnavailable } from './cluster.ts';
import { BrokerTrouble, errorName } from './connection.ts';
import { fetchRequest, type PartitionRef } from './messages.ts';
import { decodeRecordBatches } from './record-batch.ts';

export interface ReadsOptions {
  readonly requestTimeoutMs: number;
  /** After this a read, a look at the marks or a trim gives up. */
  readonly timeoutMs: number;
}

/** One-off requests to the leader of a partition, repeated while leaders move. */
export const OFFSET_OUT_OF_RANGE = 1;
/** Leaders that move, and replicas that are not there yet. */
const PASSING = new Set([3, 5, 6, 7, 8, 9, 13, 56, 74, 75, 78]);
export const isPassing = (code: number): boolean => PASSING.has(code);

const UNKNOWN_ERROR = -1;
const EARLIEST = -2;
const LATEST = -1;
const RETRY_MS = 100;
/** How long an offset above the end must stay there to be one: a new leader learns of the end a little later. */
const GAP_CONFIRM_MS = 500;
const READ_MAX_OCTETS = 4 * 1024 ** 2;
const ANSWER_OVERHEAD_OCTETS = 1024;

interface Listed {
  readonly responses: readonly { readonly partitions: readonly { readonly errorCode: number; readonly offset: string }[] }[];
}
interface Deleted {
  readonly topics: readonly { readonly partitions: readonly { readonly errorCode: number }[] }[];
}

/** The broker's answer about one partition; `passing` asks for another try. */
type Answer<T> = { readonly is: 'done'; readonly value: T } | { readonly is: 'passing'; readonly reason: string };
const done = <T>(value: T): Answer<T> => ({ is: 'done', value });

function passing(code: number, { topic, partition }: PartitionRef): Answer<never> {
  const reason = `${topic}/${partition}: ${errorName(code)}`;
  if (!isPassing(code)) throw new LogUnavailable(reason);
  return { is: 'passing', reason };
}

/** One-off requests to the leader of a partition, repeated while leaders move. */
export class Reads {
  readonly #cluster: Cluster;
  readonly #options: ReadsOptions;
  #isClosed = false;

  constructor(cluster: Cluster, options: ReadsOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** @throws OffsetGap, DamagedLog, LogUnavailable */
  async read(at: PartitionRef, from: number, maxOctets: number): Promise<LogRecord[]> {
    for (;;) {
      const found = await this.#fetch(at, from, maxOctets);
      const isJump = found !== 'outside' && found[0] !== undefined && found[0].offset !== from;
      if (found !== 'outside' && !isJump) return found;
      const gap = isJump ? new OffsetGap(from, await this.marks(at)) : await this.gapAt(at, from);
      if (gap) throw gap;
    }
  }

  async marks(at: PartitionRef): Promise<Marks> {
    const [low, high] = await Promise.all([this.#list(at, EARLIEST), this.#list(at, LATEST)]);
    return { low, high };
  }

  /** The gap at an offset; undefined when it is none, or may be none after all. */
  async gapAt(at: PartitionRef, wanted: number): Promise<OffsetGap | undefined> {
    const now = await this.marks(at);
    if (wanted < now.low) return new OffsetGap(wanted, now);
    if (wanted <= now.high) return undefined;
    await pause(GAP_CONFIRM_MS);
    await this.#refresh();
    const later = await this.marks(at);
    return wanted > later.high ? new OffsetGap(wanted, later) : undefined;
  }

  /** @throws RangeError above the high mark, AppendFailed when it cannot be done now */
  async trim(at: PartitionRef, below: number): Promise<void> {
    const { topic, partition } = at;
    const { requestTimeoutMs } = this.#options;
    const args = { topics: [{ topic, partitions: [{ partition, offset: below }] }], timeout: requestTimeoutMs };
    const isDone = await this.#withLeader(at, async (node) => {
      const answer = (await this.#cluster.connection(node, 'trim').call('DeleteRecords', args, requestTimeoutMs * 2)) as Deleted;
      const code = answer.topics[0]?.partitions[0]?.errorCode ?? UNKNOWN_ERROR;
      return code === 0 || code === OFFSET_OUT_OF_RANGE ? done(code === 0) : passing(code, at);
    }).catch((cause: unknown) => {
      throw new AppendFailed(this.#isClosed ? 'closed' : 'failed', { inDoubt: true, cause });
    });
    if (!isDone) throw new RangeError(`trim of ${topic}/${partition} below ${below}, which is above the high mark`);
  }

  close(): void {
    this.#isClosed = true;
  }

  async #refresh(): Promise<void> {
    // The next try tells what is wrong.
    await this.#cluster.refresh().catch(() => {});
  }

  /** Repeats an ask of the leader, with fresh metadata, until it is done or its time is over. */
  async #withLeader<T>(at: PartitionRef, ask: (node: number) => Promise<Answer<T>>): Promise<T> {
    const deadlineMs = performance.now() + this.#options.timeoutMs;
    for (;;) {
      const answer = await this.#try(at, ask);
      if (answer.is === 'done') return answer.value;
      if (this.#isClosed) throw new LogUnavailable('the log is closed');
      if (performance.now() > deadlineMs) throw new LogUnavailable(answer.reason);
      await pause(RETRY_MS);
      await this.#refresh();
    }
  }

  async #try<T>(at: PartitionRef, ask: (node: number) => Promise<Answer<T>>): Promise<Answer<T>> {
    const node = this.#cluster.leaderOf(at.topic, at.partition);
    if (node === undefined) return { is: 'passing', reason: `${at.topic}/${at.partition} has no leader` };
    try {
      return await ask(node);
    } catch (error) {
      if (!(error instanceof BrokerTrouble)) throw error;
      if (!this.#isClosed) this.#cluster.suspect(node, error);
      return { is: 'passing', reason: error.message };
    }
  }

  #list(at: PartitionRef, timestamp: number): Promise<number> {
    return this.#withLeader<number>(at, async (node) => {
      const { topic, partition } = at;
      const args = { replicaId: -1, isolationLevel: 0, topics: [{ topic, partitions: [{ partition, timestamp }] }] };
      const listed = (await this.#cluster.connection(node, 'marks').call('ListOffsets', args, this.#options.requestTimeoutMs)) as Listed;
      const found = listed.responses[0]?.partitions[0];
      if (found === undefined) return { is: 'passing', reason: 'the answer does not name the partition' };
      return found.errorCode === 0 ? done(Number(found.offset)) : passing(found.errorCode, at);
    });
  }

  #fetch(at: PartitionRef, from: number, maxOctets: number): Promise<LogRecord[] | 'outside'> {
    return this.#withLeader<LogRecord[] | 'outside'>(at, async (node) => {
      const most = Math.min(maxOctets + ANSWER_OVERHEAD_OCTETS, READ_MAX_OCTETS);
      const wanted = { ...at, fetchOffset: from, maxOctets: most };
      const request = fetchRequest({ partitions: [wanted], waitMs: 0, maxOctets: most });
      const { errorCode, partitions } = await this.#cluster.connection(node, 'read').ask(request, this.#options.requestTimeoutMs);
      const [found] = partitions;
      const code = found?.errorCode ?? errorCode;
      if (code === OFFSET_OUT_OF_RANGE) return done('outside');
      if (code !== 0) return passing(code, at);
      return done(decodeRecordBatches(found?.octets ?? Buffer.alloc(0), { from, maxOctets }, `${at.topic}/${at.partition}`));
    });
  }
}
