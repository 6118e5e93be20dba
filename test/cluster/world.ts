import { accounting, makeFolder, until } from '../e2e/angarium.ts';
import { type Load, startLoad } from '../e2e/load.ts';
import { type Brokers, startBrokers } from '../kafka/brokers.ts';
import { brokersFolder } from '../kafka/fixtures.ts';
import { createTestDatabase } from '../postgres/database.ts';
import { startPostgres, type TestPostgres } from '../postgres/server.ts';
import { startS3, type TestS3 } from '../s3/server.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { readMailbox } from './mailbox.ts';
import { type Sink, startSink } from './sink.ts';

const PASSWORD = 'a password of a test';
export const DOMAIN = 'angarium.test';

/** A small cluster with its brokers, and a host that its mail goes to. */
export interface World {
  readonly brokers: Brokers;
  /** Of the directory. */
  readonly postgres: TestPostgres;
  /** Of large contents. */
  readonly s3: TestS3;
  readonly cluster: Cluster;
  readonly sink: Sink;
  /** Makes an account. */
  addAccount(name: string): Promise<void>;
  /** Mail to the account, to the host, and to nobody there, so that a notification comes back: a third each. */
  load(o: { readonly name: string; readonly perSecond: number; readonly octets?: number }): readonly Load[];
  /** Every message that arrived, at the host or in the account, by id. */
  arrived(account: string): Promise<Arrived>;
  close(): Promise<void>;
}

export interface Arrived {
  readonly atHost: ReadonlyMap<string, number>;
  readonly inMailbox: ReadonlyMap<string, number>;
}

const COUNTS = { routing: 2, mailbox: 2, ingress: 2, delivery: 3 };

export async function createWorld(o: { readonly brokerCount: number }): Promise<World> {
  const { folder, remove } = await makeFolder();
  const sink = await startSink();
  const [brokers, postgres, s3] = await Promise.all([
    startBrokers({ count: o.brokerCount, folder: await brokersFolder() }),
    startPostgres(),
    startS3(),
  ]);
  const { endpoint, credentialsFile } = s3;
  const config = {
    postgres: await createTestDatabase(postgres.url),
    routing: { directoryEngine: 'postgres' },
    mailbox: { storeEngine: 'postgres' },
    blobs: { engine: 's3', s3: { bucket: await s3.createBucket(), endpoint, credentialsFile } },
  };
  const cluster = await startCluster({ folder, brokers: brokers.addresses, counts: COUNTS, config });
  const command = async (args: readonly string[], stdin = '') => {
    const { code, stderr } = await cluster.one('routing-1').command(args, stdin);
    if (code !== 0) throw new Error(`angarium ${args.join(' ')}: ${stderr}`);
  };
  await command(['domain', 'add', DOMAIN]);
  // Notifications go to the load's domain.
  await command(['transport', 'add', 'dead.test', 'smarthost', '127.0.0.1:9', '--tls', 'never']);
  for (const domain of ['sink.test', 'client.test'])
    await command(['transport', 'add', domain, 'smarthost', `127.0.0.1:${sink.port}`, '--tls', 'never']);
  const recipientOf = (account: string) => (number: number) =>
    [`${account}@${DOMAIN}`, `u${number % 50}@sink.test`, `gone${number % 50}@sink.test`][number % 3] ?? '';
  return {
    ...{ brokers, postgres, s3 },
    cluster,
    sink,
    addAccount: (name) => command(['account', 'add', `${name}@${DOMAIN}`], `${PASSWORD}\n`),
    load: ({ name, perSecond, octets = 500 }) => {
      const doors = cluster.of('ingress').map(({ addresses }) => addresses.mx[0] ?? '');
      return doors.map((address, at) =>
        startLoad({
          ...{ address, octets, sessions: 3, recipient: recipientOf(name), name: `${name}.${at}` },
          perSecond: perSecond / doors.length,
        }),
      );
    },
    arrived: async (account) => {
      const address = cluster.of('mailbox')[0]?.addresses.pop3s[0] ?? '';
      return {
        atHost: sink.copies(),
        inMailbox: await readMailbox({ address, login: `${account}@${DOMAIN}`, password: PASSWORD }),
      };
    },
    close: async () => {
      await cluster.close();
      await Promise.all([brokers.close(), postgres.close(), s3.close()]);
      await sink.close();
      await remove();
    },
  };
}

export interface Result {
  /** What else was measured. */
  readonly note: string;
  readonly taken: number;
  readonly refused: number;
  readonly unanswered: number;
  readonly lost: readonly string[];
  readonly copies: number;
  /** Refused, and there all the same. */
  readonly refusedAndThere: number;
  readonly acceptSilenceMs: number;
  readonly deliverySilenceMs: number;
  /** The identity of promise 2 holds, as the owner of the count exports it, with nothing queued. */
  readonly isCounted: boolean;
}

async function isCounted({ cluster }: World): Promise<true | undefined> {
  const counts = await Promise.all(cluster.of('delivery').map(accounting));
  return counts.some(({ accepted, queued, difference }) => accepted > 0 && queued === 0 && difference === 0) || undefined;
}

const SETTLE_MS = 180_000;

/** Load while something happens, until everything that was taken has arrived. */
export async function survive(
  world: World,
  o: { readonly name: string; readonly perSecond: number; readonly octets?: number },
  happen: () => Promise<string | undefined>,
): Promise<Result> {
  const { sink } = world;
  await world.addAccount(o.name);
  const loads = world.load(o);
  const sum = (of: (load: Load) => number) => loads.reduce((total, load) => total + of(load), 0);
  const taken = () => sum((load) => load.taken.size);
  const more = async (count: number) => {
    const before = taken();
    await until(async () => (taken() >= before + count ? true : undefined), SETTLE_MS);
  };
  await more(o.perSecond);
  for (const load of loads) load.longestSilenceMs();
  sink.longestSilenceMs();
  const note = (await happen()) ?? '';
  await more(o.perSecond);
  const acceptSilenceMs = Math.min(...loads.map((load) => load.longestSilenceMs()));
  await Promise.all(loads.map((load) => load.stop()));
  const ids = loads.flatMap((load) => [...load.taken]);
  const missing = ({ atHost, inMailbox }: Arrived) => ids.filter((id) => !atHost.has(id) && !inMailbox.has(id));
  let arrived = await world.arrived(o.name);
  await until(async () => {
    if (missing({ ...arrived, atHost: sink.copies() }).length === 0) return true;
    arrived = await world.arrived(o.name);
    return missing(arrived).length === 0 ? true : undefined;
  }, SETTLE_MS).catch(() => {});
  const deliverySilenceMs = sink.longestSilenceMs();
  arrived = await world.arrived(o.name);
  const own = [...arrived.atHost, ...arrived.inMailbox].filter(([id]) => id.startsWith(`${o.name}.`));
  const refused = loads.flatMap((load) => [...load.refused.keys()]);
  return {
    note,
    taken: ids.length,
    refused: refused.length,
    unanswered: sum((load) => load.unanswered.size),
    lost: missing(arrived),
    copies: own.reduce((total, [, count]) => total + count - 1, 0),
    refusedAndThere: refused.filter((id) => arrived.atHost.has(id) || arrived.inMailbox.has(id)).length,
    acceptSilenceMs,
    deliverySilenceMs,
    isCounted: await until(() => isCounted(world), SETTLE_MS).catch(() => false),
  };
}
