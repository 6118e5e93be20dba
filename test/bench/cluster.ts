import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startBrokers } from '../kafka/brokers.ts';
import { queueOf, setUp } from './angarium.ts';
import { cpuUsOf, memoryMibOf, type StartMta } from './mta.ts';
import { configOf, createTopics, type Process, startProcess } from './process.ts';

const ROLES = ['routing', 'mailbox', 'ingress', 'delivery'] as const;
const PORTS_EACH = 10;
const BROKERS = 3;

/**
 * Each service a process of its own over three brokers on the same machine: a record is on all of them before it counts. What the
 * brokers cost is no part of `cpuUs`; `memoryMib` is that of the largest process.
 */
export const startCluster =
  (scratch: string, port: number): StartMta =>
  async (way) => {
    await mkdir(scratch, { recursive: true });
    const folder = await mkdtemp(join(scratch, 'cluster-'));
    const brokers = await startBrokers({ count: BROKERS, folder: join(folder, 'brokers') });
    const at = (name: string) => `unix:${join(folder, `${name}.sock`)}`;
    const processes = new Map<string, Process>();
    const stop = async () => {
      for (const one of [...processes.values()].reverse()) await one.stop();
      await brokers.close();
      await rm(folder, { recursive: true, force: true });
    };
    const get = (role: (typeof ROLES)[number]) => processes.get(role) as Process;
    const configFor = (role: (typeof ROLES)[number], number: number) => {
      const base = configOf(join(folder, role), port + number * PORTS_EACH);
      return {
        ...base,
        blobFolder: join(folder, 'blobs'),
        kafka: { brokers: brokers.addresses, replicationFactor: BROKERS, minInSyncReplicas: BROKERS - 1 },
        directoryListen: role === 'routing' ? at('directory') : '',
        directoryAt: at('directory'),
        mailboxAt: at('mailbox'),
        mailbox: { ...base.mailbox, rpcListen: at('mailbox'), directory: at('directory') },
      };
    };
    try {
      for (const [number, role] of ROLES.entries()) {
        const options = { role, folder: join(folder, role), config: configFor(role, number) };
        if (number === 0) await createTopics(options);
        processes.set(role, await startProcess(options));
      }
      await setUp({ directory: get('routing').command, queue: get('delivery').command }, way);
    } catch (error) {
      await stop();
      throw error;
    }
    const pids = [...processes.values()].map(({ pid }) => pid);
    const sum = (of: (pid: number) => number) => pids.reduce((total, pid) => total + of(pid), 0);
    return {
      name: 'Angarium on Kafka',
      smtp: { host: '127.0.0.1', port: port + ROLES.indexOf('ingress') * PORTS_EACH + 1 },
      cpuUs: () => sum(cpuUsOf),
      memoryMib: () => Math.max(...pids.map(memoryMibOf)),
      ...queueOf(get('delivery')),
      loopDelayP99Ms: async () => Math.max(...(await Promise.all([...processes.values()].map((one) => one.loopDelayP99Ms())))),
      stop,
    };
  };
