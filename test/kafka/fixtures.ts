import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createTopics, type KafkaLogOptions, type Log, openKafkaLog, type TopicsOptions } from '@angarium/log';
import { CONTRACT_PARTITIONS } from '@angarium/log/contract';
import { type Brokers, type BrokersOptions, startThrowawayBrokers } from './brokers.ts';
import { brokersMissing, KAFKA_VERSIONS } from './jars.mjs';

const silent = () => {};
export const quiet = { info: silent, warn: silent, error: silent };

/** Short time limits, so that the suites are. */
export const TRIAL = {
  clientId: 'angarium-test',
  connectTimeoutMs: 1000,
  requestTimeoutMs: 2500,
  appendTimeoutMs: 20_000,
  maxBufferedOctets: 64 * 1024 ** 2,
  connectionsPerBroker: 1,
  fetchWaitMs: 500,
  readAheadOctets: 32 * 1024 ** 2,
  recentOctets: 8 * 1024 ** 2,
  sessionTimeoutMs: 6000,
  heartbeatMs: 500,
  rebalanceTimeoutMs: 20_000,
  logger: quiet,
} as const;

let made = 0;
/** A topic prefix that nobody has used: each test has its own topics. */
export const freshPrefix = (): string => `t${process.pid}-${Date.now().toString(36)}-${made++}-`;

export interface Trial {
  readonly options: KafkaLogOptions & TopicsOptions;
  readonly open: (changes?: Partial<KafkaLogOptions>) => Promise<Log>;
}

/** Fresh topics on the brokers. */
export async function createTrial(brokers: readonly string[], changes: Partial<KafkaLogOptions & TopicsOptions> = {}): Promise<Trial> {
  const options = {
    ...TRIAL,
    brokers,
    prefix: freshPrefix(),
    partitions: CONTRACT_PARTITIONS,
    replicationFactor: Math.min(3, brokers.length),
    minInSyncReplicas: Math.min(2, brokers.length),
    segmentOctets: 1024 ** 2,
    ...changes,
  };
  await createTopics(options);
  return { options, open: (more = {}) => openKafkaLog({ ...options, ...more }) };
}

/**
 * Brokers for all tests of a file. Where they cannot run, the file's tests are left out, loudly; in CI they fail.
 * An existing cluster is used when ANGARIUM_TEST_KAFKA names its brokers, as long as the tests do not stop brokers.
 */
export function useBrokers(o: Omit<BrokersOptions, 'folder'> & { readonly mayBeShared?: boolean }): () => Brokers {
  let brokers: Brokers | undefined;
  const existing = o.mayBeShared ? process.env.ANGARIUM_TEST_KAFKA?.split(',') : undefined;
  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'angarium-kafka-'));
    brokers = existing ? sharedBrokers(existing) : await startThrowawayBrokers({ ...o, folder });
  });
  after(() => brokers?.close());
  return () => {
    if (brokers === undefined) throw new Error('the brokers do not run yet');
    return brokers;
  };
}

function sharedBrokers(addresses: readonly string[]): Brokers {
  const not = (): never => {
    throw new Error('this cluster is not ours to stop');
  };
  const unused = { boot: not, stop: not, kill: not, pause: not, resume: not, isRunning: () => true };
  return { ids: addresses.map((_, at) => at + 1), addresses, secureAddresses: [], ...unused, close: async () => {} };
}

/** True when real brokers can run here; says loudly when a suite is left out. */
export function hasBrokers(suite: string, version: string = KAFKA_VERSIONS.newest): boolean {
  if (process.env.ANGARIUM_TEST_KAFKA) return true;
  const missing = brokersMissing(version);
  if (missing === undefined) return true;
  if (process.env.CI === 'true') {
    test(`${suite}: Kafka ${version} must be there in CI`, () => {
      throw new Error(missing);
    });
  } else {
    console.log(`LEFT OUT: ${suite}: Kafka ${version} cannot run here (${missing}). It needs Java 17 and, once, Maven: npm run tools.`);
    test(`${suite}`, { skip: `Kafka ${version} cannot run here` }, () => {});
  }
  return false;
}
