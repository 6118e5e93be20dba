import { AppendFailed, type TopicName } from '../port.ts';
import { type Append, AppendQueue, octetsOf, pieces } from './append-queue.ts';
import { createChoice } from './choice.ts';
import type { Cluster, KafkaLogger } from './cluster.ts';
import { BrokerTrouble, errorName } from './connection.ts';
import { type Produced, partitionKey, produceRequest } from './messages.ts';
import { Slots } from './slots.ts';

/** A batch that enough replicas have. */
export interface BatchWritten {
  readonly entries: number;
  readonly octets: number;
  /** From the request to its answer. */
  readonly writeMs: number;
  /** As long as the slowest append of the batch took, earlier tries included. */
  readonly appendMs: number;
}

export interface WriterOptions {
  readonly logger: KafkaLogger;
  /** Octets of values that wait or are on their way; an append beyond is refused as full. */
  readonly maxBufferedOctets: number;
  /** After this an append fails, whatever becomes of it later. */
  readonly appendTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Produce calls at once to one broker. */
  readonly connectionsPerBroker: number;
  readonly observe: (batch: BatchWritten) => void;
  /** Called with the records of each batch that goes out again though it may have been written. */
  readonly observeRepeat: (records: number) => void;
}

const TICK_MS = 250;
const RETRY_MS = 100;

/** Answers that say that nothing was written; all others leave it open. */
const UNWRITTEN = {
  /** Corrupt on arrival, not enough replicas: it may pass. */
  passing: new Set([2, 19]),
  /** Too large, not allowed, not acceptable: to repeat it does not help. */
  final: new Set([10, 17, 18, 29, 31, 43, 44, 87]),
};

type Verdict =
  | { readonly is: 'written'; readonly offset: number }
  | { readonly is: 'unwritten' | 'open' | 'refused'; readonly reason: string };

/** An acknowledgement counts only when it names the partition, without an error. */
function judge({ topic, partition }: AppendQueue, answer: readonly Produced[]): Verdict {
  const found = answer.find((one) => one.topic === topic && one.partition === partition);
  if (found === undefined) return { is: 'open', reason: 'the answer does not name the partition' };
  const { errorCode, baseOffset } = found;
  if (errorCode === 0) return baseOffset >= 0 ? { is: 'written', offset: baseOffset } : { is: 'open', reason: 'the answer has no offset' };
  const reason = errorName(errorCode);
  if (UNWRITTEN.final.has(errorCode)) return { is: 'refused', reason };
  return { is: UNWRITTEN.passing.has(errorCode) ? 'unwritten' : 'open', reason };
}

/** What all appends have in common: the room they take, and that each ends once. */
function createAccount() {
  let octets = 0;
  let pending = 0;
  let emptied: () => void = () => {};
  const settle = (append: Append, by: () => void) => {
    if (append.isSettled) return;
    append.isSettled = true;
    octets -= append.octets;
    pending--;
    by();
    if (pending === 0) emptied();
  };
  return {
    octets: () => octets,
    pending: () => pending,
    /** Resolves when nothing is pending, or when the time is over. */
    empty: (timeoutMs: number): Promise<void> =>
      new Promise((resolve) => {
        if (pending === 0) return resolve();
        const late = setTimeout(resolve, timeoutMs);
        emptied = () => {
          clearTimeout(late);
          resolve();
        };
      }),
    add: (append: Append) => {
      octets += append.octets;
      pending++;
    },
    acknowledge: (append: Append, offset: number) => settle(append, () => append.resolve(offset)),
    fail: (append: Append, reason: AppendFailed['reason'], cause: string) =>
      settle(append, () => append.reject(new AppendFailed(reason, { inDoubt: append.mayBeWritten, cause: new Error(cause) }))),
  };
}

/**
 * Appends by natural batching: what waits for a partition goes out when the call before it has ended. A batch that fails is
 * repeated on its own partition with fresh metadata until the time of its appends is over.
 */
export class Writer {
  readonly #cluster: Cluster;
  readonly #options: WriterOptions;
  readonly #queues = new Map<string, AppendQueue>();
  readonly #slots: Slots;
  readonly #account = createAccount();
  readonly #choose: (topic: string) => number;
  readonly #pumpAll = () => {
    for (const queue of this.#queues.values()) this.#pump(queue);
  };
  #isClosed = false;
  #isTicking = false;

  constructor(cluster: Cluster, options: WriterOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#slots = new Slots(options.connectionsPerBroker);
    this.#choose = createChoice({
      cluster,
      slots: this.#slots,
      queueOf: (topic, partition) => this.#queueOf(topic, partition),
      nowMs: () => performance.now(),
      chance: Math.random,
    });
    cluster.refreshed.add(this.#pumpAll);
  }

  async append(topic: TopicName, partition: number, values: readonly Uint8Array[]): Promise<number> {
    if (this.#isClosed) throw new AppendFailed('closed', { inDoubt: false });
    if (this.#account.octets() + octetsOf(values) > this.#options.maxBufferedOctets) throw new AppendFailed('full', { inDoubt: false });
    const queue = this.#queueOf(this.#cluster.nameOf(topic), partition);
    return appendPieces(pieces(values).map((piece) => this.#add(queue, piece)));
  }

  /** The partition whose next batch has room and leaves soonest. */
  anyPartition(topic: TopicName): number {
    return this.#choose(this.#cluster.nameOf(topic));
  }

  /** Gives what is on its way the time of one request, and fails the rest as closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#account.empty(this.#options.requestTimeoutMs);
    for (const queue of this.#queues.values()) {
      for (const append of queue.sending) append.mayBeWritten = true;
      for (const append of queue.all()) this.#account.fail(append, 'closed', 'the log was closed');
      queue.forgetSettled();
    }
    this.#cluster.refreshed.delete(this.#pumpAll);
  }

  #queueOf(topic: string, partition: number): AppendQueue {
    const key = partitionKey({ topic, partition });
    const found = this.#queues.get(key) ?? new AppendQueue(topic, partition);
    this.#queues.set(key, found);
    return found;
  }

  #add(queue: AppendQueue, values: readonly Uint8Array[]): Promise<number> {
    return new Promise((resolve, reject) => {
      const append = {
        values,
        octets: octetsOf(values),
        sinceMs: performance.now(),
        mayBeWritten: false,
        isSettled: false,
        resolve,
        reject,
      };
      queue.add(append);
      this.#account.add(append);
      this.#pump(queue);
      this.#startTick();
    });
  }

  /** The broker to send a queue's next batch to now; undefined when there is nothing to send, or nobody to send it to. */
  #nodeOf(queue: AppendQueue): number | undefined {
    if (queue.sending.length > 0 || !queue.isWaiting || queue.notBeforeMs > performance.now()) return undefined;
    const node = this.#cluster.leaderOf(queue.topic, queue.partition);
    return node === undefined || this.#cluster.isAvoided(node) ? undefined : node;
  }

  #pump(queue: AppendQueue): void {
    const node = this.#nodeOf(queue);
    if (node === undefined) return;
    const slot = this.#slots.take(node, queue);
    if (slot !== undefined) void this.#send(node, slot, [queue]);
  }

  async #send(node: number, slot: number, queues: readonly AppendQueue[]): Promise<void> {
    const startedMs = performance.now();
    for (const queue of queues) queue.take();
    const verdicts = await this.#produce(node, slot, queues);
    this.#slots.release(node, slot);
    queues.forEach((queue, at) => {
      const verdict = verdicts[at] ?? { is: 'open', reason: 'no verdict' };
      if (verdict.is === 'written') this.#written(queue.sending, verdict.offset, startedMs);
      else this.#unwritten(queue, verdict);
      queue.putBack();
    });
    for (const queue of queues) {
      const at = this.#nodeOf(queue);
      if (at === node) this.#slots.wait(node, queue);
      else this.#pump(queue);
    }
    this.#sendNext(node);
  }

  /** Sends what waits for a connection to the broker, one call a free connection. */
  #sendNext(node: number): void {
    while (this.#slots.isFree(node)) {
      const next = this.#slots.next(node).filter((queue) => this.#nodeOf(queue) === node);
      const [first] = next;
      if (first === undefined) return;
      const slot = this.#slots.take(node, first);
      if (slot === undefined) return;
      void this.#send(node, slot, next);
    }
  }

  async #produce(node: number, slot: number, queues: readonly AppendQueue[]): Promise<readonly Verdict[]> {
    const { requestTimeoutMs } = this.#options;
    const batches = queues.map(({ topic, partition, sending }) => ({ topic, partition, values: sending.flatMap(({ values }) => values) }));
    try {
      const connection = this.#cluster.connection(node, `produce${slot}`);
      const answer = await connection.ask(produceRequest(batches, requestTimeoutMs), requestTimeoutMs);
      return queues.map((queue) => judge(queue, answer));
    } catch (error) {
      if (!(error instanceof BrokerTrouble)) throw error;
      this.#cluster.suspect(node, error);
      return queues.map(() => ({ is: error.isSent ? 'open' : 'unwritten', reason: error.message }));
    }
  }

  #written(batch: readonly Append[], first: number, startedMs: number): void {
    const nowMs = performance.now();
    let offset = first;
    for (const append of batch) {
      this.#account.acknowledge(append, offset);
      offset += append.values.length;
    }
    const octets = batch.reduce((sum, append) => sum + append.octets, 0);
    this.#options.observe({ entries: offset - first, octets, writeMs: nowMs - startedMs, appendMs: nowMs - (batch[0]?.sinceMs ?? nowMs) });
  }

  #unwritten(queue: AppendQueue, { is, reason }: Exclude<Verdict, { is: 'written' }>): void {
    const { topic, partition, sending } = queue;
    const records = sending.reduce((sum, { values }) => sum + values.length, 0);
    this.#options.logger.warn({ topic, partition, records, reason, mayBeWritten: is === 'open' }, 'log.append.repeated');
    for (const append of sending) {
      if (is === 'open') append.mayBeWritten = true;
      if (is === 'refused') this.#account.fail(append, 'failed', reason);
    }
    if (is === 'open') this.#options.observeRepeat(records);
    queue.notBeforeMs = performance.now() + RETRY_MS;
    setTimeout(() => this.#pump(queue), RETRY_MS + 1);
    this.#refresh();
  }

  #refresh(): void {
    // What it would tell is told by the next try, and by the appends that fail when their time is over.
    void this.#cluster.refresh().catch(() => {});
  }

  #startTick(): void {
    if (this.#isTicking || this.#account.pending() === 0) return;
    this.#isTicking = true;
    setTimeout(() => this.#tick(), TICK_MS);
  }

  /** While anything is pending: ends what took too long, and tries again what stands still. */
  #tick(): void {
    this.#isTicking = false;
    const { appendTimeoutMs } = this.#options;
    const beforeMs = performance.now() - appendTimeoutMs;
    let isStuck = false;
    for (const queue of this.#queues.values()) {
      for (const append of queue.all()) {
        if (append.sinceMs > beforeMs) continue;
        if (queue.sending.includes(append)) append.mayBeWritten = true;
        this.#account.fail(append, 'failed', `not acknowledged within ${appendTimeoutMs} ms`);
      }
      queue.forgetSettled();
      this.#pump(queue);
      isStuck ||= queue.isWaiting && queue.sending.length === 0;
    }
    if (isStuck) this.#refresh();
    this.#startTick();
  }
}

/** The offset of the first piece, when all are written; where a piece failed, another may be written. */
async function appendPieces(appends: readonly Promise<number>[]): Promise<number> {
  if (appends.length === 1 && appends[0]) return appends[0];
  const ends = await Promise.allSettled(appends);
  const failed = ends.find((end) => end.status === 'rejected');
  const [first] = ends;
  if (failed === undefined && first?.status === 'fulfilled') return first.value;
  const error: unknown = failed?.reason;
  if (!(error instanceof AppendFailed)) throw error;
  const inDoubt = error.inDoubt || ends.some((end) => end.status === 'fulfilled');
  throw inDoubt === error.inDoubt ? error : new AppendFailed(error.reason, { inDoubt, cause: error });
}
