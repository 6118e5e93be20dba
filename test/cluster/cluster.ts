import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Angarium, merge, startAngarium, type Tree, until } from '../e2e/angarium.ts';
import { freePort } from '../fixtures/ports.ts';
import { createCommand } from '../kafka/command.ts';

export const ROLES = ['routing', 'mailbox', 'ingress', 'delivery'] as const;
export type ClusterRole = (typeof ROLES)[number];

export interface ClusterOptions {
  /** Of everything that is no broker's. */
  readonly folder: string;
  /** "host:port" of the brokers. */
  readonly brokers: readonly string[];
  /** How many of each role to begin with. */
  readonly counts: Readonly<Record<ClusterRole, number>>;
  /** For all roles: stores, limits, addresses of peers. */
  readonly config?: Tree;
  /** Whose directory a role asks; left out: all routing processes by turns. */
  readonly directoryOf?: Readonly<Partial<Record<ClusterRole, string>>>;
  /** Which mailbox a worker such as `delivery-2` brings its mail to; left out: all by turns. */
  readonly mailboxOf?: Readonly<Record<string, string>>;
  /** Listeners are at this port and those after it, ten to a process; left out: free ports. */
  readonly basePort?: number;
}

/** Services as processes of their own over one Kafka, by names such as `delivery-2`. Each keeps its ports over its restarts. */
export interface Cluster {
  /** Running processes by name. */
  readonly running: ReadonlyMap<string, Angarium>;
  of(role: ClusterRole): readonly Angarium[];
  one(name: string): Angarium;
  start(name: string): Promise<Angarium>;
  /** SIGTERM; the exit code. */
  stop(name: string): Promise<number | null>;
  kill(name: string): Promise<void>;
  /** Kills whatever runs. */
  close(): Promise<void>;
}

const LANES = 12;
/** Who comes first waits for a lease to run out that somebody might have. */
const OWNED_WITHIN_MS = 60_000;
const PORTS_EACH = 7;
/** Room for the highest number of a role. */
const MOST_EACH = 6;

async function portsOf(names: readonly string[], basePort: number | undefined): Promise<ReadonlyMap<string, readonly number[]>> {
  const free = new Set<number>();
  while (basePort === undefined && free.size < names.length * PORTS_EACH) free.add(await freePort());
  const ports = [...free];
  const portsAt = (at: number) =>
    Array.from({ length: PORTS_EACH }, (_, port) => ports[at * PORTS_EACH + port] ?? (basePort ?? 0) + at * 10 + port);
  return new Map(names.map((name, at) => [name, portsAt(at)]));
}

/** Where each process listens, and whom it asks. */
function configFor(name: string, ports: ReadonlyMap<string, readonly number[]>, options: ClusterOptions): Tree {
  const { counts, directoryOf = {}, mailboxOf = {} } = options;
  const at = (of: string, port: number) => `127.0.0.1:${ports.get(of)?.[port]}`;
  const role = name.replace(/-\d+$/, '') as ClusterRole;
  const all = (of: ClusterRole) => Array.from({ length: counts[of] }, (_, number) => at(`${of}-${number + 1}`, 0)).join(',');
  const [asked, mailbox] = [directoryOf[role], mailboxOf[name]];
  const directory = asked === undefined ? all('routing') : at(asked, 0);
  return {
    metrics: { listen: at(name, 6) },
    ingress: { mx: { listen: [at(name, 1)] }, submission: { listen: [at(name, 2)] }, submissions: { listen: [at(name, 3)] } },
    directoryListen: role === 'routing' ? at(name, 0) : '',
    directoryAt: directory,
    mailboxAt: mailbox === undefined ? all('mailbox') : at(mailbox, 0),
    mailbox: {
      pop3: { listen: [at(name, 4)] },
      pop3s: { listen: [at(name, 5)] },
      rpcListen: role === 'mailbox' ? at(name, 0) : '',
      directory,
    },
  };
}

/** Makes the topics and starts all processes, those that others ask first. Resolves when each is ready and every lane has its owner. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { folder, brokers, counts, config = {}, basePort } = options;
  const names = ROLES.flatMap((role) => Array.from({ length: MOST_EACH }, (_, number) => `${role}-${number + 1}`));
  const ports = await portsOf(names, basePort);
  const running = new Map<string, Angarium>();
  const replicas = Math.min(3, brokers.length);
  const shared = merge(
    {
      ...(config.blobs === undefined && { blobFolder: join(folder, 'blobs') }),
      kafka: { brokers, replicationFactor: replicas, minInSyncReplicas: Math.min(2, replicas) },
      journal: { lanes: LANES, inPartitions: 6, localSpread: 6 },
      ingress: { relayNetworks: ['127.0.0.0/8'], maxConnectionsPerClient: 100 },
    },
    config,
  );
  const start = async (name: string) => {
    const role = name.replace(/-\d+$/, '') as ClusterRole;
    await mkdir(join(folder, name), { recursive: true });
    const one = await startAngarium(join(folder, name), merge(shared, configFor(name, ports, options)), role);
    running.set(name, one);
    return one;
  };
  const end = async <T>(name: string, how: (one: Angarium) => Promise<T>): Promise<T> => {
    const one = running.get(name);
    if (one === undefined) throw new Error(`${name} does not run`);
    running.delete(name);
    return how(one);
  };
  const close = async () => {
    await Promise.all([...running.values()].map((one) => one.kill()));
    running.clear();
  };
  try {
    const { code, stderr } = await (await createCommand(join(folder, 'topics'), shared))(['topics', 'create']);
    if (code !== 0) throw new Error(`topics create: ${stderr}`);
    for (const role of ROLES) await Promise.all(Array.from({ length: counts[role] }, (_, number) => start(`${role}-${number + 1}`)));
    await until(async () => {
      const workers = [...running].filter(([name]) => name.startsWith('delivery-'));
      const live = await Promise.all(workers.map(([, one]) => one.metric('angarium_delivery_lanes_live')));
      return live.reduce((sum, one) => sum + one, 0) === LANES || undefined;
    }, OWNED_WITHIN_MS);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    running,
    of: (role) => [...running].filter(([name]) => name.startsWith(`${role}-`)).map(([, one]) => one),
    one: (name) => {
      const found = running.get(name);
      if (found === undefined) throw new Error(`${name} does not run`);
      return found;
    },
    start,
    stop: (name) => end(name, (one) => one.stop()),
    kill: (name) => end(name, (one) => one.kill()),
    close,
  };
}
