import { setTimeout as pause } from 'node:timers/promises';
import { checkPartition, checkValues } from '../limits.ts';
import { AppendFailed, type Log, type TopicName } from '../port.ts';
import { type Cluster, type ClusterOptions, createCluster, LogUnavailable } from './cluster.ts';
import { committedOf, consumeAsGroup } from './group.ts';
import { createLookUp } from './looking-up.ts';
import { type PartitionRef, partitionKey } from './messages.ts';
import { Reads } from './reads.ts';
import { createRecent, type Recent } from './recent.ts';
import { Subscriptions } from './subscriptions.ts';
import { type BatchWritten, Writer } from './writer.ts';

export interface KafkaLogOptions extends ClusterOptions {
  /** Topics that this process uses, with the fewest partitions that each must have; a topic that has more keeps them. */
  readonly partitions: Readonly<Partial<Record<TopicName, number>>>;
  /** Time limit of an append, and of any other call that is repeated while leaders move. */
  readonly appendTimeoutMs: number;
  /** Octets of appends that wait or are on their way; one beyond fails as full. */
  readonly maxBufferedOctets: number;
  /** Produce calls at once to one broker. */
  readonly connectionsPerBroker: number;
  /** How long a broker holds a fetch while there is nothing. */
  readonly fetchWaitMs: number;
  /** Octets that are read ahead, over all partitions. */
  readonly readAheadOctets: number;
  /** Octets of followed records that are kept for reads by offset. */
  readonly recentOctets: number;
  readonly sessionTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly rebalanceTimeoutMs: number;
  /** How often a group looks for partitions that were added. */
  readonly metadataMs: number;
  /** The incarnation that a record of `mail.control` tells, if it does; left out: the incarnation is 1. */
  readonly incarnationOf?: (record: Uint8Array) => number | undefined;
  /** Called for each batch that is durable. */
  readonly observe?: (batch: BatchWritten) => void;
  /** Called with the records of each batch that goes out again though it may have been written: readers drop the second copy. */
  readonly observeRepeat?: (records: number) => void;
}

/** Positions of a group are committed at most this often: each is a replicated write. */
const COMMIT_GAP_MS = 100;
const CONTROL_READ_OCTETS = 1024 ** 2;

/** The first topic that is missing or too small, in words. */
function shortTopic(cluster: Cluster, { partitions }: KafkaLogOptions): string | undefined {
  for (const [topic, wanted] of Object.entries(partitions)) {
    const name = cluster.nameOf(topic as TopicName);
    const found = cluster.partitionsOf(name)?.length ?? 0;
    if (found < wanted) return `topic ${name} has ${found} of ${wanted} partitions: run \`angarium topics create\``;
  }
  return undefined;
}

/** The cluster, when it answers and has what the options ask for. */
async function openCluster(options: KafkaLogOptions): Promise<Cluster> {
  const cluster = createCluster(options, Object.keys(options.partitions) as TopicName[]);
  const deadlineMs = performance.now() + options.requestTimeoutMs * 2;
  try {
    for (;;) {
      await cluster.refresh();
      const short = shortTopic(cluster, options);
      if (short === undefined) return cluster;
      // A broker may not have heard yet of a topic that was just made.
      if (performance.now() > deadlineMs) throw new LogUnavailable(short);
    }
  } catch (error) {
    cluster.close();
    throw error;
  }
}

/** The newest incarnation that `mail.control` tells. */
async function readIncarnation(reads: Reads, topic: string, incarnationOf: (record: Uint8Array) => number | undefined): Promise<number> {
  const at = { topic, partition: 0 };
  let newest = 0;
  for (let { low: position } = await reads.marks(at); ; ) {
    const records = await reads.read(at, position, CONTROL_READ_OCTETS);
    if (records.length === 0) break;
    for (const { value } of records) newest = Math.max(newest, incarnationOf(value) ?? 0);
    position += records.length;
  }
  if (newest === 0) throw new LogUnavailable(`${topic} tells no incarnation of the log: run \`angarium topics create\``);
  return newest;
}

/**
 * Opens the log of a cluster: topics of Kafka, which must be there (`createTopics`).
 *
 * @throws LogUnavailable with what to do, when no broker answers, or a topic is missing or too small
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  const topics = Object.keys(options.partitions) as TopicName[];
  const cluster = await openCluster(options);
  const { requestTimeoutMs, appendTimeoutMs, incarnationOf } = options;
  const reads = new Reads(cluster, { requestTimeoutMs, timeoutMs: appendTimeoutMs });
  try {
    const control = cluster.nameOf('mail.control');
    const incarnation = incarnationOf === undefined ? 1 : await readIncarnation(reads, control, incarnationOf);
    return createLog({ options, cluster, reads, incarnation, topics });
  } catch (error) {
    cluster.close();
    throw error;
  }
}

interface Opened {
  readonly options: KafkaLogOptions;
  readonly cluster: Cluster;
  readonly reads: Reads;
  readonly incarnation: number;
  readonly topics: readonly TopicName[];
}

interface Parts extends Opened {
  readonly writer: Writer;
  readonly subscriptions: Subscriptions;
  readonly recent: Recent;
  readonly closed: AbortController;
  readonly placeOf: (topic: TopicName, partition: number) => PartitionRef;
}

async function* follow({ subscriptions, recent }: Parts, at: PartitionRef, from: number, signal: AbortSignal) {
  const subscription = subscriptions.subscribe(at, from, signal);
  try {
    for (let records = await subscription.next(); records; records = await subscription.next()) {
      recent.add(partitionKey(at), records);
      yield records;
    }
  } finally {
    subscription.close();
  }
}

function createTrim({ reads, recent, subscriptions, closed, placeOf }: Parts): Log['trim'] {
  return async (topic, partition, below) => {
    const at = placeOf(topic, partition);
    if (closed.signal.aborted) throw new AppendFailed('closed', { inDoubt: false });
    const { low } = await reads.marks(at);
    if (below <= low) return;
    await reads.trim(at, below);
    recent.trim(partitionKey(at), below);
    subscriptions.trimmed(at, below);
  };
}

/** Ends in this order: readers, appends, consumptions with their commits, connections. */
function createClose({ options, cluster, reads, writer, subscriptions, closed }: Parts, consuming: ReadonlySet<Promise<void>>) {
  let closing: Promise<void> | undefined;
  const close = async () => {
    closed.abort();
    subscriptions.close();
    await writer.close();
    const late = new AbortController();
    await Promise.race([Promise.allSettled([...consuming]), pause(options.requestTimeoutMs, undefined, { signal: late.signal })]);
    late.abort();
    reads.close();
    cluster.close();
  };
  return () => {
    closing ??= close();
    return closing;
  };
}

function createLog(opened: Opened): Log {
  const { options, cluster, reads, incarnation, topics } = opened;
  const { observe = () => {}, observeRepeat = () => {} } = options;
  const counts = new Map(topics.map((topic) => [topic, cluster.partitionsOf(cluster.nameOf(topic))?.length ?? 0]));
  const partitions = (topic: TopicName) => counts.get(topic) ?? 0;
  const placeOf = (topic: TopicName, partition: number): PartitionRef => {
    checkPartition(partition, partitions(topic), topic);
    return { topic: cluster.nameOf(topic), partition };
  };
  const subscriptions = new Subscriptions(cluster, reads, options);
  const writer = new Writer(cluster, { ...options, observe, observeRepeat });
  const closed = new AbortController();
  const recent = createRecent(options.recentOctets);
  const lookUp = createLookUp(recent, (at, from, maxOctets) => reads.read(at, from, maxOctets));
  const parts: Parts = { ...opened, writer, subscriptions, recent, closed, placeOf };
  const groupsOptions = { ...options, commitGapMs: COMMIT_GAP_MS };
  const consuming = new Set<Promise<void>>();
  return {
    partitions,
    append: async (topic, partition, values) => {
      checkValues(values);
      placeOf(topic, partition);
      return writer.append(topic, partition, values);
    },
    anyPartition: (topic) => writer.anyPartition(topic),
    read: async (topic, partition, from, maxOctets) => lookUp(placeOf(topic, partition), from, maxOctets),
    follow: (topic, partition, from, signal) => follow(parts, placeOf(topic, partition), from, signal),
    marks: async (topic, partition) => reads.marks(placeOf(topic, partition)),
    trim: createTrim(parts),
    consume: async (group) => {
      for (const topic of group.topics) placeOf(topic, 0);
      const running = consumeAsGroup({ cluster, reads, subscriptions, closed: closed.signal, options: groupsOptions }, group);
      consuming.add(running);
      await running.finally(() => consuming.delete(running));
    },
    committed: async (group, topic, partition) => committedOf({ cluster, reads, options: groupsOptions }, group, placeOf(topic, partition)),
    heldOctets: () => 0,
    incarnation,
    close: createClose(parts, consuming),
  };
}
