import { setTimeout as pause } from 'node:timers/promises';
import type { TopicName } from '../port.ts';
import { type Cluster, type ClusterOptions, createCluster, LogUnavailable, type PartitionState } from './cluster.ts';
import { errorName } from './connection.ts';

/** What the configuration promises of the topics. */
export interface TopicsPromise {
  readonly partitions: Readonly<Partial<Record<TopicName, number>>>;
  readonly replicationFactor: number;
  /** Replicas that have a record before it counts as durable. */
  readonly minInSyncReplicas: number;
  readonly segmentOctets: number;
}

export interface TopicsOptions extends ClusterOptions, TopicsPromise {}

export interface TopicsReport {
  /** What breaks a promise, and what to do about it: no mail is to be accepted. */
  readonly problems: readonly string[];
  /** What makes an outage longer than it need be. */
  readonly warnings: readonly string[];
}

export interface TopicsChange {
  readonly created: readonly TopicName[];
  /** Topics that got more partitions. */
  readonly grown: readonly TopicName[];
}

const TOPIC_ALREADY_EXISTS = 36;
const CREATE_TIMEOUT_MS = 30_000;
const POLL_MS = 200;
const POSITIONS_TOPIC = '__consumer_offsets';
const TOPIC_RESOURCE = 2;
const BROKER_RESOURCE = 4;
/** Everything stalls so long when a broker dies: design §3. */
const SESSION_TIMEOUT_MAX_MS = 4000;

/** Settings that each topic must have: mail goes by progress alone, and the log stamps the time. */
const settingsOf = ({ minInSyncReplicas, segmentOctets }: TopicsPromise): Readonly<Record<string, string>> => ({
  'cleanup.policy': 'delete',
  'retention.ms': '-1',
  'retention.bytes': '-1',
  'message.timestamp.type': 'LogAppendTime',
  'compression.type': 'producer',
  'unclean.leader.election.enable': 'false',
  'min.insync.replicas': String(minInSyncReplicas),
  'segment.bytes': String(segmentOctets),
});
/** Settings that may differ from ours without breaking a promise. */
const FREE = new Set(['segment.bytes']);

async function withCluster<T>(options: TopicsOptions, work: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = createCluster(options, Object.keys(options.partitions) as TopicName[]);
  try {
    await cluster.refresh();
    return await work(cluster);
  } finally {
    cluster.close();
  }
}

const wantedOf = ({ partitions }: TopicsPromise) => Object.entries(partitions) as [TopicName, number][];

const anyBroker = (cluster: Cluster): number => cluster.brokers().find((node) => !cluster.isAvoided(node)) ?? -1;

interface TopicErrors {
  readonly topicErrors: readonly { readonly topic: string; readonly errorCode: number; readonly errorMessage?: string | null }[];
}

/** Any broker takes these requests: it hands them to the controller. */
async function administer(cluster: Cluster, name: string, args: object): Promise<void> {
  const [node = -1] = cluster.brokers().filter((one) => !cluster.isAvoided(one));
  const answer = await cluster
    .connection(node, 'admin')
    .call(name, { ...args, validateOnly: false, timeout: CREATE_TIMEOUT_MS }, CREATE_TIMEOUT_MS);
  for (const { topic, errorCode, errorMessage } of (answer as TopicErrors).topicErrors)
    if (errorCode !== 0 && errorCode !== TOPIC_ALREADY_EXISTS)
      throw new LogUnavailable(`${name} ${topic}: ${errorMessage ?? errorName(errorCode)}`);
}

/** Right after its creation a topic may be unknown to a broker, or without leaders. */
async function untilLed(cluster: Cluster, wanted: ReadonlyMap<string, number>): Promise<void> {
  const deadlineMs = performance.now() + CREATE_TIMEOUT_MS;
  const isLed = ([topic, count]: [string, number]) => {
    const found = cluster.partitionsOf(topic);
    return found !== undefined && found.length >= count && found.every(({ leader }) => leader >= 0);
  };
  for (;;) {
    await cluster.refresh().catch(() => {});
    if ([...wanted].every(isLed)) return;
    if (performance.now() > deadlineMs) throw new LogUnavailable(`no leaders for ${[...wanted.keys()].join(', ')} within 30 s`);
    await pause(POLL_MS);
  }
}

/** Topics of the promise that are not there. @throws LogUnavailable when no broker answers */
export async function missingTopics(options: TopicsOptions): Promise<readonly TopicName[]> {
  return withCluster(options, async (cluster) =>
    wantedOf(options)
      .filter(([topic]) => cluster.partitionsOf(cluster.nameOf(topic)) === undefined)
      .map(([topic]) => topic),
  );
}

/** Makes the topics that are missing, and adds partitions where there are too few. What is there is not changed otherwise. */
export async function createTopics(options: TopicsOptions): Promise<TopicsChange> {
  return withCluster(options, async (cluster) => {
    const wanted = wantedOf(options);
    const countOf = (topic: TopicName) => cluster.partitionsOf(cluster.nameOf(topic))?.length ?? 0;
    const missing = wanted.filter(([topic]) => countOf(topic) === 0);
    const small = wanted.filter(([topic, count]) => countOf(topic) > 0 && countOf(topic) < count);
    const brokers = cluster.brokers().length;
    if (missing.length > 0 && brokers < options.replicationFactor)
      throw new LogUnavailable(
        `${options.replicationFactor} replicas need as many brokers, and there are ${brokers}: start more, or lower kafka.replicationFactor`,
      );
    const configEntries = Object.entries(settingsOf(options)).map(([name, value]) => ({ name, value }));
    const topics = missing.map(([topic, count]) => ({
      ...{ topic: cluster.nameOf(topic), numPartitions: count, replicationFactor: options.replicationFactor, configEntries },
    }));
    if (topics.length > 0) await administer(cluster, 'CreateTopics', { topics });
    const topicPartitions = small.map(([topic, count]) => ({ topic: cluster.nameOf(topic), count }));
    if (topicPartitions.length > 0) await administer(cluster, 'CreatePartitions', { topicPartitions });
    await untilLed(cluster, new Map(wanted.map(([topic, count]) => [cluster.nameOf(topic), count])));
    return { created: missing.map(([topic]) => topic), grown: small.map(([topic]) => topic) };
  });
}

interface Described {
  readonly resources: readonly {
    readonly errorCode: number;
    readonly resourceName: string;
    readonly configEntries: readonly { readonly configName: string; readonly configValue: string | null }[];
  }[];
}

async function describe(cluster: Cluster, node: number, resources: readonly object[], timeoutMs: number) {
  const answer = (await cluster.connection(node, 'admin').call('DescribeConfigs', { resources }, timeoutMs)) as Described;
  return answer.resources.map(({ errorCode, resourceName, configEntries }) => {
    if (errorCode !== 0) throw new LogUnavailable(`settings of ${resourceName}: ${errorName(errorCode)}`);
    return { name: resourceName, settings: new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])) };
  });
}

function replicaProblems(name: string, states: readonly PartitionState[], promise: TopicsPromise): string[] {
  const fewest = Math.min(...states.map(({ replicas }) => replicas.length));
  if (fewest < promise.replicationFactor)
    return [
      `${name} has ${fewest} of ${promise.replicationFactor} promised replicas: reassign its partitions, or lower kafka.replicationFactor`,
    ];
  return [];
}

/** A broker that is down breaks no promise: appends wait for it or fail, and readiness stays. */
function syncWarnings(cluster: Cluster, options: TopicsOptions): string[] {
  return wantedOf(options).flatMap(([topic]) => {
    const states = cluster.partitionsOf(cluster.nameOf(topic)) ?? [];
    const short = states.filter(({ isr }) => isr.length < options.minInSyncReplicas).length;
    if (short === 0) return [];
    return [
      `${cluster.nameOf(topic)}: ${short} partitions have fewer than ${options.minInSyncReplicas} replicas in sync: start the missing brokers`,
    ];
  });
}

function settingProblems(name: string, found: ReadonlyMap<string, string | null>, promise: TopicsPromise): string[] {
  return Object.entries(settingsOf(promise)).flatMap(([setting, wanted]) => {
    const value = found.get(setting);
    if (value === undefined || value === wanted || FREE.has(setting)) return [];
    if (setting === 'min.insync.replicas' && Number(value) > Number(wanted)) return [];
    return [`${name} has ${setting}=${value}, not ${wanted}: set it with kafka-configs --alter --entity-type topics --entity-name ${name}`];
  });
}

async function brokerWarnings(cluster: Cluster, { requestTimeoutMs }: TopicsOptions): Promise<string[]> {
  const names = ['broker.session.timeout.ms'];
  const found = cluster.brokers().map(async (node) => {
    const [broker] = await describe(cluster, node, [{ type: BROKER_RESOURCE, name: String(node), configNames: names }], requestTimeoutMs);
    const sessionMs = Number(broker?.settings.get('broker.session.timeout.ms') ?? 0);
    if (sessionMs <= SESSION_TIMEOUT_MAX_MS) return [];
    return [
      `broker ${node} has broker.session.timeout.ms=${sessionMs}: so long nothing is accepted when a broker dies; 3000 to ${SESSION_TIMEOUT_MAX_MS} is better, with broker.heartbeat.interval.ms=500`,
    ];
  });
  // A broker that is down, or that lets us not look, is none of a warning's business.
  return (await Promise.allSettled(found)).flatMap((end) => (end.status === 'fulfilled' ? end.value : []));
}

async function topicProblems(cluster: Cluster, options: TopicsOptions): Promise<string[]> {
  const problems: string[] = [];
  const there: string[] = [];
  for (const [topic, count] of wantedOf(options)) {
    const name = cluster.nameOf(topic);
    const states = cluster.partitionsOf(name) ?? [];
    if (states.length < count) problems.push(`${name} has ${states.length} of ${count} partitions: run \`angarium topics create\``);
    if (states.length === 0) continue;
    there.push(name);
    problems.push(...replicaProblems(name, states, options));
  }
  if (there.length === 0) return problems;
  const resources = there.map((name) => ({ type: TOPIC_RESOURCE, name, configNames: Object.keys(settingsOf(options)) }));
  const described = await describe(cluster, anyBroker(cluster), resources, options.requestTimeoutMs);
  return [...problems, ...described.flatMap(({ name, settings }) => settingProblems(name, settings, options))];
}

/** Where the group keeps its positions is not ours to make. */
async function positionWarnings(cluster: Cluster, { replicationFactor }: TopicsOptions): Promise<string[]> {
  const positions = (await cluster.look([POSITIONS_TOPIC])).get(POSITIONS_TOPIC) ?? [];
  const fewest = Math.min(replicationFactor, ...positions.map(({ replicas }) => replicas.length));
  if (fewest === replicationFactor) return [];
  return [`${POSITIONS_TOPIC} has ${fewest} of ${replicationFactor} replicas: when their brokers are down, routing stands still`];
}

/**
 * Compares the topics with the promise.
 *
 * @throws LogUnavailable when no broker answers
 */
export async function checkTopics(options: TopicsOptions): Promise<TopicsReport> {
  const { replicationFactor, minInSyncReplicas } = options;
  if (minInSyncReplicas > replicationFactor)
    return { problems: ['kafka.minInSyncReplicas is larger than kafka.replicationFactor: nothing could be accepted'], warnings: [] };
  return withCluster(options, async (cluster) => {
    const problems = await topicProblems(cluster, options);
    const warnings = [
      ...syncWarnings(cluster, options),
      ...(await brokerWarnings(cluster, options)),
      ...(await positionWarnings(cluster, options)),
    ];
    if (minInSyncReplicas === replicationFactor && replicationFactor > 1)
      warnings.push('kafka.minInSyncReplicas equals kafka.replicationFactor: nothing is accepted while any one broker is down');
    return { problems, warnings };
  });
}
