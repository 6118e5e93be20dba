import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createTopics, type KafkaLogOptions, type Log, openKafkaLog, type TopicsOptions } from '@angarium/log';
import { CONTRACT_PARTITIONS, logContract } from '@angarium/log/contract';
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
  metadataMs: 1000,
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

/** Folders of runs that were killed: nobody else gives their memory back. */
async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const [, owner] = /^angarium-kafka-(\d+)-/.exec(name) ?? [];
    if (owner === undefined || isAlive(Number(owner))) continue;
    await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A new folder, in memory where there is plenty: brokers write to hundreds of files at once, and a busy disk makes them wait. */
export async function brokersFolder(): Promise<string> {
  const memory = await statfs('/dev/shm').catch(() => undefined);
  const isLarge = memory !== undefined && memory.bavail * memory.bsize > 2 * 1024 ** 3;
  const parent = isLarge ? '/dev/shm' : tmpdir();
  await removeLeftovers(parent);
  return mkdtemp(join(parent, `angarium-kafka-${process.pid}-`));
}

/**
 * Brokers for all tests of a file. Where they cannot run, the file's tests are left out, loudly; in CI they fail.
 * An existing cluster is used when ANGARIUM_TEST_KAFKA names its brokers, as long as the tests do not stop brokers.
 */
export function useBrokers(o: Omit<BrokersOptions, 'folder'> & { readonly mayBeShared?: boolean }): () => Brokers {
  let brokers: Brokers | undefined;
  const existing = o.mayBeShared ? process.env.ANGARIUM_TEST_KAFKA?.split(',') : undefined;
  before(async () => {
    brokers = existing ? sharedBrokers(existing) : await startThrowawayBrokers({ ...o, folder: await brokersFolder() });
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

/** A cluster that the environment names is used where tests stop no brokers. */
export const isExisting = process.env.ANGARIUM_TEST_KAFKA !== undefined;

/** True when real brokers can run here; says loudly when a suite is left out. */
export function hasBrokers(suite: string, version: string = KAFKA_VERSIONS.newest): boolean {
  if (isExisting) return true;
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

/** Waits for a condition that brokers and clients bring about in their own time. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await pause(20);
  }
}

/** The contract suite on the brokers, each test with topics of its own. */
export function kafkaContract(engine: string, brokers: () => Brokers): void {
  logContract(engine, async () => {
    const trial = await createTrial(brokers().addresses);
    let log = await trial.open();
    return {
      log,
      reopen: async () => {
        await log.close();
        log = await trial.open();
        return log;
      },
      close: () => log.close(),
    };
  });
}
