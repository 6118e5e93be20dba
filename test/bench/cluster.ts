import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startBrokers } from '../kafka/brokers.ts';
import { createTestDatabase } from '../postgres/database.ts';
import { startPostgres } from '../postgres/server.ts';
import { startS3 } from '../s3/server.ts';
import { queueOf, setUp } from './angarium.ts';
import { cpuUsOf, type Mta, memoryMibOf, until, type Way } from './mta.ts';
import { collectGarbage, configOf, createTopics, heldOctetsOf, inspectedAt, type Process, startProcess, sumOf } from './process.ts';

export const ROLES = ['routing', 'mailbox', 'ingress', 'delivery'] as const;
const PORTS_EACH = 10;
const BROKERS = 3;

const HEAP_MIB = 384;
const LIVE_MS = 120_000;

type Role = (typeof ROLES)[number];

/** Services that are processes of their own. */
export interface BenchCluster extends Mta {
  /** CPU of each process so far. */
  cpuUsOfEach(): ReadonlyMap<Role, number>;
  /** Octets that the delivery worker holds when garbage is gone, on its heap and outside. */
  heldOctets(): Promise<number>;
  /** Ends the delivery worker and starts it again; seconds from its start until each of its lanes is live. */
  restartDelivery(): Promise<number>;
}

/** Directory and mailboxes on PostgreSQL, large contents on S3: what a cluster with several replicas has. */
async function startStores(folder: string, isShared: boolean) {
  if (!isShared) return { config: { blobFolder: join(folder, 'blobs') }, close: async () => {} };
  const [postgres, s3] = [await startPostgres(), await startS3()];
  const { endpoint, credentialsFile } = s3;
  const config = {
    postgres: await createTestDatabase(postgres.url),
    routing: { directoryEngine: 'postgres' },
    blobs: { engine: 's3', s3: { bucket: await s3.createBucket(), endpoint, credentialsFile } },
  };
  return { config, storeEngine: 'postgres', close: async () => void (await Promise.all([postgres.close(), s3.close()])) };
}

async function startBackends(folder: string, way: Way) {
  const brokers = await startBrokers({ count: BROKERS, folder: join(folder, 'brokers'), heapMiB: HEAP_MIB, isFullyCompiled: true });
  const stores = await startStores(folder, way.local !== undefined);
  return { brokers, stores };
}

/**
 * Each service a process of its own over three brokers on the same machine: a record is on all of them before it counts. What the
 * brokers cost is no part of `cpuUs`; `memoryMib` is that of the largest process.
 */
export const startCluster =
  (scratch: string, port: number) =>
  async (way: Way): Promise<BenchCluster> => {
    await mkdir(scratch, { recursive: true });
    const folder = await mkdtemp(join(scratch, 'cluster-'));
    const { brokers, stores } = await startBackends(folder, way);
    const inspectorPort = port + ROLES.length * PORTS_EACH;
    const at = (name: string) => `unix:${join(folder, `${name}.sock`)}`;
    const processes = new Map<Role, Process>();
    const stop = async () => {
      for (const one of [...processes.values()].reverse()) await one.stop();
      await Promise.all([brokers.close(), stores.close()]);
      await rm(folder, { recursive: true, force: true });
    };
    const get = (role: Role) => processes.get(role) as Process;
    const optionsFor = (role: Role) => {
      const base = configOf(join(folder, role), port + ROLES.indexOf(role) * PORTS_EACH);
      const { storeEngine } = stores;
      const config = {
        ...base,
        ...stores.config,
        kafka: { brokers: brokers.addresses, replicationFactor: BROKERS, minInSyncReplicas: BROKERS - 1 },
        directoryListen: role === 'routing' ? at('directory') : '',
        directoryAt: at('directory'),
        mailboxAt: at('mailbox'),
        mailbox: { ...base.mailbox, ...(storeEngine && { storeEngine }), rpcListen: at('mailbox'), directory: at('directory') },
      };
      return { role, folder: join(folder, role), config, flags: role === 'delivery' ? inspectedAt(inspectorPort) : [] };
    };
    try {
      await createTopics(optionsFor('routing'));
      for (const role of ROLES) processes.set(role, await startProcess(optionsFor(role)));
      await setUp({ directory: get('routing').command, queue: get('delivery').command }, way);
    } catch (error) {
      await stop();
      throw error;
    }
    const metricsOfDelivery = () => get('delivery').metrics();
    const cpuUsOfEach = () => new Map([...processes].map(([role, { pid }]) => [role, cpuUsOf(pid)]));
    return {
      name: 'Angarium on Kafka',
      smtp: { host: '127.0.0.1', port: port + ROLES.indexOf('ingress') * PORTS_EACH + 1 },
      cpuUs: () => [...cpuUsOfEach().values()].reduce((sum, us) => sum + us, 0),
      cpuUsOfEach,
      memoryMib: () => Math.max(...[...processes.values()].map(({ pid }) => memoryMibOf(pid))),
      heldOctets: async () => {
        await collectGarbage(inspectorPort);
        return heldOctetsOf(await metricsOfDelivery());
      },
      delivered: () => queueOf(get('delivery')).delivered(),
      queued: () => queueOf(get('delivery')).queued(),
      flush: () => queueOf(get('delivery')).flush(),
      loopDelayP99Ms: async () => Math.max(...(await Promise.all([...processes.values()].map((one) => one.loopDelayP99Ms())))),
      restartDelivery: async () => {
        const lanes = sumOf(await metricsOfDelivery(), 'angarium_delivery_lanes_live');
        await get('delivery').stop();
        const startedMs = performance.now();
        processes.set('delivery', await startProcess(optionsFor('delivery')));
        await until(async () => sumOf(await metricsOfDelivery(), 'angarium_delivery_lanes_live') >= lanes, LIVE_MS);
        return (performance.now() - startedMs) / 1000;
      },
      stop,
    };
  };
