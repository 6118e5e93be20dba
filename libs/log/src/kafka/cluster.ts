import type { TopicName } from '../port.ts';
import { type BrokerAddress, BrokerConnection, BrokerTrouble, errorName, type KafkaAccess } from './connection.ts';

/** The cluster does not answer, or answers that something is not there; the text says what. */
export class LogUnavailable extends Error {
  override readonly name = 'LogUnavailable';
}

export interface ClusterOptions extends KafkaAccess {
  /** "host:port" of brokers to start from; one that answers is enough. */
  readonly brokers: readonly string[];
  /** Stands before the name of each topic and group; empty: nothing. */
  readonly prefix: string;
  readonly requestTimeoutMs: number;
  readonly logger: KafkaLogger;
}

export interface KafkaLogger {
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

/**
 * What a connection is for. A broker serves the requests of one connection one after the other, and some wait in it: each
 * kind has its own.
 */
export type Purpose = 'metadata' | 'marks' | 'trim' | 'read' | 'poll' | 'catchUp' | 'group' | 'commit' | 'admin' | `produce${number}`;

export interface PartitionState {
  /** Node id; -1 when there is none. */
  readonly leader: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

export interface Cluster {
  readonly nameOf: (topic: TopicName) => string;
  /** Undefined before it was seen. */
  partitionsOf(topic: string): readonly PartitionState[] | undefined;
  /** Undefined while there is none. */
  leaderOf(topic: string, partition: number): number | undefined;
  brokers(): readonly number[];
  connection(node: number, purpose: Purpose): BrokerConnection;
  /** Ends a connection and what runs on it. */
  disconnect(node: number, purpose: Purpose): void;
  /** Reads the metadata of topics besides those that are followed. */
  look(topics: readonly string[]): Promise<ReadonlyMap<string, readonly PartitionState[]>>;
  /** Reads the metadata again, soon: calls that come meanwhile share one look. @throws LogUnavailable */
  refresh(): Promise<void>;
  /** Notes trouble with a broker: it is avoided for a while. */
  suspect(node: number, trouble: BrokerTrouble): void;
  isAvoided(node: number): boolean;
  /** Called after each refresh. */
  readonly refreshed: Set<() => void>;
  isClosed(): boolean;
  close(): void;
}

interface Metadata {
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
  readonly topicMetadata: readonly {
    readonly topic: string;
    readonly topicErrorCode: number;
    readonly partitionMetadata: readonly {
      readonly partitionId: number;
      readonly leader: number;
      readonly replicas: readonly number[];
      readonly isr: readonly number[];
    }[];
  }[];
}

const UNKNOWN_TOPIC = 3;
/** A broker that refuses connections is being started again, or gone: leaders tell soon. */
const AVOIDED_MS = 500;
/** One that does not answer holds each request for its whole time limit. */
const AVOIDED_SILENT_MS = 3000;
const REFRESH_GAP_MS = 100;
const METADATA_TIMEOUT_MS = 1500;

function parseAddress(text: string): BrokerAddress {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(text) ?? [];
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/** Brokers' addresses and the connections to them. */
function createNodes(options: ClusterOptions) {
  const addresses = new Map<number, BrokerAddress>();
  const connections = new Map<string, BrokerConnection>();
  const avoidedUntilMs = new Map<number, number>();
  let isClosed = false;
  const drop = (node: number) => {
    for (const [key, connection] of connections) {
      if (!key.startsWith(`${node}/`)) continue;
      connection.close();
      connections.delete(key);
    }
  };
  return {
    known: () => [...addresses.keys()],
    isAvoided: (node: number) => (avoidedUntilMs.get(node) ?? 0) > performance.now(),
    suspect: (node: number, { isSilent, message }: BrokerTrouble) => {
      const now = performance.now();
      if ((avoidedUntilMs.get(node) ?? 0) <= now) options.logger.warn({ broker: node, reason: message }, 'log.broker.avoided');
      avoidedUntilMs.set(node, now + (isSilent ? AVOIDED_SILENT_MS : AVOIDED_MS));
    },
    connection: (node: number, purpose: Purpose): BrokerConnection => {
      if (isClosed) throw new BrokerTrouble('the log is closed', { isSent: false, isSilent: false });
      const key = `${node}/${purpose}`;
      const found = connections.get(key);
      if (found) return found;
      const address = addresses.get(node);
      if (address === undefined) throw new BrokerTrouble(`broker ${node} is not known`, { isSent: false, isSilent: false });
      const made = new BrokerConnection(address, options);
      connections.set(key, made);
      return made;
    },
    disconnect: (node: number, purpose: Purpose) => {
      const key = `${node}/${purpose}`;
      connections.get(key)?.close();
      connections.delete(key);
    },
    update: ({ brokers }: Metadata) => {
      for (const { nodeId, host, port } of brokers) {
        const old = addresses.get(nodeId);
        if (old?.host === host && old.port === port) continue;
        drop(nodeId);
        addresses.set(nodeId, { host, port });
      }
    },
    close: () => {
      isClosed = true;
      for (const connection of connections.values()) connection.close();
      connections.clear();
    },
  };
}

type Nodes = ReturnType<typeof createNodes>;

const byChance = <T>(all: readonly T[]): T[] => all.toSorted(() => Math.random() - 0.5);

/** Asks brokers for metadata until one answers: those that are not avoided first, then those of the configuration. */
function createMetadataReader(options: ClusterOptions, nodes: Nodes) {
  const timeoutMs = Math.min(METADATA_TIMEOUT_MS, options.requestTimeoutMs);
  const ask = async (connection: BrokerConnection, topics: readonly string[]) =>
    (await connection.call('Metadata', { topics, allowAutoTopicCreation: false }, timeoutMs)) as Metadata;
  const askFirst = async (text: string, topics: readonly string[]) => {
    const connection = new BrokerConnection(parseAddress(text), options);
    try {
      return await ask(connection, topics);
    } finally {
      connection.close();
    }
  };
  return async (topics: readonly string[], isClosed: () => boolean): Promise<Metadata> => {
    const known = byChance(nodes.known());
    const sure = known.filter((node) => !nodes.isAvoided(node));
    const tries = [
      ...sure.map((node) => () => ask(nodes.connection(node, 'metadata'), topics)),
      ...byChance(options.brokers).map((text) => () => askFirst(text, topics)),
      ...known.filter((node) => nodes.isAvoided(node)).map((node) => () => ask(nodes.connection(node, 'metadata'), topics)),
    ];
    let last: unknown;
    for (const attempt of tries) {
      if (isClosed()) break;
      try {
        const metadata = await attempt();
        nodes.update(metadata);
        return metadata;
      } catch (error) {
        last = error;
      }
    }
    const reason = last instanceof Error ? last.message : 'closed';
    throw new LogUnavailable(`no Kafka broker of ${options.brokers.join(', ')} answers: ${reason}`, { cause: last });
  };
}

function statesIn({ topicMetadata }: Metadata): ReadonlyMap<string, readonly PartitionState[]> {
  const found = new Map<string, readonly PartitionState[]>();
  for (const { topic, topicErrorCode, partitionMetadata } of topicMetadata) {
    if (topicErrorCode === UNKNOWN_TOPIC) continue;
    if (partitionMetadata.length === 0 && topicErrorCode !== 0) throw new LogUnavailable(`topic ${topic}: ${errorName(topicErrorCode)}`);
    const states: PartitionState[] = [];
    for (const { partitionId, leader, replicas, isr } of partitionMetadata) states[partitionId] = { leader, replicas, isr };
    found.set(topic, states);
  }
  return found;
}

/** The brokers, and who leads which partition of the topics. Nothing is asked before the first refresh. */
export function createCluster(options: ClusterOptions, topics: readonly TopicName[]): Cluster {
  const nodes = createNodes(options);
  const readMetadata = createMetadataReader(options, nodes);
  const nameOf = (topic: TopicName) => `${options.prefix}${topic}`;
  const followed = topics.map(nameOf);
  const refreshed = new Set<() => void>();
  let states = new Map<string, readonly PartitionState[]>();
  let isClosed = false;
  let running: Promise<void> | undefined;
  let lastMs = Number.NEGATIVE_INFINITY;

  const look = async (names: readonly string[]) => statesIn(await readMetadata(names, () => isClosed));
  const refreshNow = async () => {
    const waitMs = lastMs + REFRESH_GAP_MS - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    lastMs = performance.now();
    // A topic that is gone is kept as it was: its requests fail, which rings.
    states = new Map([...states, ...(await look(followed))]);
    for (const tell of refreshed) tell();
  };
  return {
    nameOf,
    partitionsOf: (topic) => states.get(topic),
    leaderOf: (topic, partition) => {
      const leader = states.get(topic)?.[partition]?.leader ?? -1;
      return leader < 0 ? undefined : leader;
    },
    brokers: nodes.known,
    connection: nodes.connection,
    disconnect: nodes.disconnect,
    look,
    refresh: () => {
      running ??= refreshNow().finally(() => {
        running = undefined;
      });
      return running;
    },
    suspect: nodes.suspect,
    isAvoided: nodes.isAvoided,
    refreshed,
    isClosed: () => isClosed,
    close: () => {
      isClosed = true;
      nodes.close();
    },
  };
}
