import { AppendFailed, type TopicName } from '../port.ts';
import { type Append, AppendQueue, octetsOf, pieces } from './append-queue.ts';
import type { Cluster, KafkaLogger } from './cluster.ts';
import { BrokerTrouble, errorName } from './connection.ts';
import { type Produced, produceRequest } from './messages.ts';

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

export interface Writer {
  append(topic: TopicName, partition: number, values: readonly Uint8Array[]): Promise<number>;
  /** The partition whose next batch has room and leaves soonest. */
  anyPartition(topic: TopicName): number;
  /** Gives what is on its way the time of one request, and fails the rest as closed. */
  close(): Promise<void>;
}

/** A broker that takes longer is passed over by what may go elsewhere. */
const SLOW_MS = 500;
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

/** The produce connections of each broker: what is free, what runs, who waits. */
function createSlots(perBroker: number) {
  interface Broker {
    readonly free: number[];
    readonly startedMs: Map<number, number>;
    /** The longest first. */
    readonly waiting: Set<AppendQueue>;
  }
  const brokers = new Map<number, Broker>();
  const of = (node: number): Broker => {
    const found = brokers.get(node);
    if (found) return found;
    const made = { free: Array.from({ length: perBroker }, (_, at) => at), startedMs: new Map(), waiting: new Set<AppendQueue>() };
    brokers.set(node, made);
    return made;
  };
  return {
    /** Undefined when all are taken: the queue gets its turn. */
    take: (node: number, queue: AppendQueue): number | undefined => {
      const { free, startedMs, waiting } = of(node);
      const slot = free.pop();
      if (slot === undefined) waiting.add(queue);
      else startedMs.set(slot, performance.now());
      return slot;
    },
    /** Gives it back to the queues whose turn it is. */
    release: (node: number, slot: number, pump: (queue: AppendQueue) => void) => {
      const { free, startedMs, waiting } = of(node);
      free.push(slot);
      startedMs.delete(slot);
      for (const next of waiting) {
        if (free.length === 0) return;
        waiting.delete(next);
        pump(next);
      }
    },
    isFree: (node: number): boolean => of(node).free.length > 0,
    isSlow: (node: number, nowMs: number): boolean => {
      for (const startedMs of of(node).startedMs.values()) if (nowMs - startedMs > SLOW_MS) return true;
      return false;
    },
  };
}

/** Which partition a record goes to that may go to any. */
function createChoice(cluster: Cluster, slots: ReturnType<typeof createSlots>, queueOf: (topic: string, partition: number) => AppendQueue) {
  const filling = new Map<string, AppendQueue>();
  let turn = Math.floor(Math.random() * 1024);
  const isHealthy = ({ topic, partition }: AppendQueue): boolean => {
    const node = cluster.leaderOf(topic, partition);
    return node !== undefined && !cluster.isAvoided(node) && !slots.isSlow(node, performance.now());
  };
  const isIdle = (queue: AppendQueue): boolean => {
    const node = cluster.leaderOf(queue.topic, queue.partition);
    return node !== undefined && !queue.isWaiting && queue.sending.length === 0 && slots.isFree(node);
  };
  return (topic: string): number => {
    // Batches get large when records that wait, wait together.
    const last = filling.get(topic);
    if (last?.isWaiting && last.hasRoom && isHealthy(last)) return last.partition;
    const count = cluster.partitionsOf(topic)?.length ?? 1;
    const all = Array.from({ length: count }, (_, at) => queueOf(topic, (at + turn) % count));
    turn = (turn + 1) % count;
    const healthy = all.filter(isHealthy);
    const fewest = (healthy.length > 0 ? healthy : all).reduce((best, queue) => (queue.octets < best.octets ? queue : best));
    const chosen = healthy.find(isIdle) ?? fewest;
    filling.set(topic, chosen);
    return chosen.partition;
  };
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
 * Appends by natural batching: what waits for a partition goes out when the call before it has ended, one partition a call.
 * A call that fails is repeated on its own partition with fresh metadata until the append's time is over.
 */
export function createWriter(cluster: Cluster, options: WriterOptions): Writer {
  const { requestTimeoutMs, appendTimeoutMs, logger } = options;
  const queues = new Map<string, AppendQueue>();
  const slots = createSlots(options.connectionsPerBroker);
  const account = createAccount();
  let isClosed = false;
  let isTicking = false;

  const queueOf = (topic: string, partition: number): AppendQueue => {
    const key = `${topic}/${partition}`;
    const found = queues.get(key) ?? new AppendQueue(topic, partition);
    queues.set(key, found);
    return found;
  };
  const choose = createChoice(cluster, slots, queueOf);
  const pumpAll = () => {
    for (const queue of queues.values()) pump(queue);
  };
  const refresh = () => void cluster.refresh().catch(() => {});
  cluster.refreshed.add(pumpAll);

  const produce = async (queue: AppendQueue, node: number, slot: number): Promise<Verdict> => {
    const { topic, partition } = queue;
    const values = queue.sending.flatMap((append) => append.values);
    const request = produceRequest({ topic, partition, values, timeoutMs: requestTimeoutMs });
    try {
      return judge(queue, await cluster.connection(node, `produce${slot}`).ask(request, requestTimeoutMs));
    } catch (error) {
      if (!(error instanceof BrokerTrouble)) throw error;
      cluster.suspect(node, error);
      return { is: error.isSent ? 'open' : 'unwritten', reason: error.message };
    }
  };
  const written = (batch: readonly Append[], first: number, startedMs: number) => {
    const nowMs = performance.now();
    let offset = first;
    for (const append of batch) {
      account.acknowledge(append, offset);
      offset += append.values.length;
    }
    const octets = batch.reduce((sum, append) => sum + append.octets, 0);
    options.observe({ entries: offset - first, octets, writeMs: nowMs - startedMs, appendMs: nowMs - (batch[0]?.sinceMs ?? nowMs) });
  };
  const unwritten = (queue: AppendQueue, { is, reason }: Exclude<Verdict, { is: 'written' }>) => {
    const { topic, partition, sending } = queue;
    const records = sending.reduce((sum, { values }) => sum + values.length, 0);
    logger.warn({ topic, partition, records, reason, mayBeWritten: is === 'open' }, 'log.append.repeated');
    for (const append of sending) {
      if (is === 'open') append.mayBeWritten = true;
      if (is === 'refused') account.fail(append, 'failed', reason);
    }
    if (is === 'open') options.observeRepeat(records);
    queue.notBeforeMs = performance.now() + RETRY_MS;
    refresh();
  };
  const send = async (queue: AppendQueue, node: number, slot: number): Promise<void> => {
    const batch = queue.take();
    const startedMs = performance.now();
    const verdict = await produce(queue, node, slot);
    if (verdict.is === 'written') written(batch, verdict.offset, startedMs);
    else unwritten(queue, verdict);
    queue.putBack();
    slots.release(node, slot, pump);
    pump(queue);
  };
  const pump = (queue: AppendQueue) => {
    if (queue.sending.length > 0 || !queue.isWaiting || queue.notBeforeMs > performance.now()) return;
    const node = cluster.leaderOf(queue.topic, queue.partition);
    if (node === undefined || cluster.isAvoided(node)) return;
    const slot = slots.take(node, queue);
    if (slot !== undefined) void send(queue, node, slot);
  };
  const tick = () => {
    isTicking = false;
    const beforeMs = performance.now() - appendTimeoutMs;
    let isStuck = false;
    for (const queue of queues.values()) {
      for (const append of queue.all()) {
        if (append.sinceMs > beforeMs) continue;
        if (queue.sending.includes(append)) append.mayBeWritten = true;
        account.fail(append, 'failed', `not acknowledged within ${appendTimeoutMs} ms`);
      }
      queue.forgetSettled();
      pump(queue);
      isStuck ||= queue.isWaiting && queue.sending.length === 0;
    }
    if (isStuck) refresh();
    startTick();
  };
  const startTick = () => {
    if (isTicking || account.pending() === 0) return;
    isTicking = true;
    setTimeout(tick, TICK_MS);
  };
  const add = (queue: AppendQueue, values: readonly Uint8Array[]): Promise<number> =>
    new Promise((resolve, reject) => {
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
      account.add(append);
      pump(queue);
      startTick();
    });
  return {
    append: async (topic, partition, values) => {
      if (isClosed) throw new AppendFailed('closed', { inDoubt: false });
      if (account.octets() + octetsOf(values) > options.maxBufferedOctets) throw new AppendFailed('full', { inDoubt: false });
      const queue = queueOf(cluster.nameOf(topic), partition);
      return appendPieces(pieces(values).map((piece) => add(queue, piece)));
    },
    anyPartition: (topic) => choose(cluster.nameOf(topic)),
    close: async () => {
      isClosed = true;
      await account.empty(requestTimeoutMs);
      for (const queue of queues.values()) {
        for (const append of queue.sending) append.mayBeWritten = true;
        for (const append of queue.all()) account.fail(append, 'closed', 'the log was closed');
        queue.forgetSettled();
      }
      cluster.refreshed.delete(pumpAll);
    },
  };
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
