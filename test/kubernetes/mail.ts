import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMailbox } from '../cluster/mailbox.ts';
import { type Sink, startSink } from '../cluster/sink.ts';
import { type Load, startLoad } from '../e2e/load.ts';
import { startBrokers } from '../kafka/brokers.ts';
import { createTestDatabase } from '../postgres/database.ts';
import { startPostgres } from '../postgres/server.ts';
import { startS3 } from '../s3/server.ts';
import { makeCertificate, servedSerial } from './certificates.ts';
import { type ControlPlane, eventually } from './control-plane.ts';
import { NODE_ADDRESS, NODE_NAME } from './node.ts';
import type { Row } from './table.ts';

/* The real image on a real node: mail while pods go. Brokers, PostgreSQL, S3 and the host that mail goes to are on the node itself. */

const CHART = new URL('../../deploy/chart', import.meta.url).pathname;
const NAMESPACE = 'mail';
const DOMAIN = 'angarium.test';
const PASSWORD = 'a password of a test';
const SETTLE_MS = 180_000;
export const IMAGE = 'localhost/angarium:test';
/** Copies that one pod's end may make: what was on the wire of a worker and unanswered. */
const COPIES_AT_MOST = 40;

interface World {
  readonly plane: ControlPlane;
  readonly sink: Sink;
  /** Takes a second for each message. */
  readonly slow: Sink;
  readonly values: string;
  /** Of the ingress service: "host:port". */
  readonly door: string;
  readonly mailDoor: string;
  readonly doorWithTls: string;
  accounts: number;
}

const inNamespace = (plane: ControlPlane, ...args: readonly string[]) => plane.kubectl(['-n', NAMESPACE, ...args]);
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

function applySecret(plane: ControlPlane, name: string, stringData: Readonly<Record<string, string>>): void {
  plane.kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: NAMESPACE }, stringData }),
  );
}

function renewCertificate(plane: ControlPlane, serial: number): void {
  const made = makeCertificate(`mail.${DOMAIN}`, serial);
  applySecret(plane, 'mail-tls', { 'tls.crt': made.certificate, 'tls.key': made.key });
}

function valuesOf(config: object): object {
  const resources = { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '512Mi' } };
  const inside = { type: 'ClusterIP' };
  return {
    hostname: `mail.${DOMAIN}`,
    image: { repository: IMAGE.split(':')[0], tag: IMAGE.split(':')[1], pullPolicy: 'Never' },
    pods: { nodeSelector: { 'kubernetes.io/hostname': NODE_NAME } },
    config,
    postgres: { passwordSecret: { name: 'postgres-user' } },
    s3: { credentialsSecret: { name: 's3-user' } },
    tls: { source: 'secret', secretName: 'mail-tls' },
    ingress: { replicas: 2, resources, service: inside, preStopSeconds: 3 },
    routing: { replicas: 2, resources, preStopSeconds: 2 },
    delivery: {
      ...{ replicas: 1, resources },
      autoscaling: { mode: 'off', minReplicas: 1, maxReplicas: 3, scaleInEverySeconds: 5, scaleInAfterSeconds: 15 },
    },
    scaler: { resources },
    mailbox: { replicas: 2, resources, service: inside, preStopSeconds: 3 },
  };
}

async function install(plane: ControlPlane, folder: string, ends: (() => Promise<void>)[]): Promise<{ world: World; row: Row }> {
  const [sink, slow] = [await startSink({ address: NODE_ADDRESS }), await startSink({ address: NODE_ADDRESS, dotMs: 1000 })];
  ends.push(sink.close, slow.close);
  const brokers = await startBrokers({ count: 1, folder: join(folder, 'brokers'), host: NODE_ADDRESS });
  ends.push(brokers.close);
  const postgres = await startPostgres({ host: NODE_ADDRESS });
  ends.push(postgres.close);
  const s3 = await startS3({ host: NODE_ADDRESS });
  ends.push(s3.close);
  const { passwordFile, ...database } = await createTestDatabase(postgres.url);
  plane.kubectl(['create', 'namespace', NAMESPACE]);
  plane.kubectl(['label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted']);
  applySecret(plane, 'postgres-user', { password: readFileSync(passwordFile, 'utf8').trim() });
  applySecret(plane, 's3-user', { credentials: readFileSync(s3.credentialsFile, 'utf8') });
  renewCertificate(plane, 1001);
  const values = join(folder, 'values.json');
  const config = {
    journal: { lanes: 12, inPartitions: 6, localSpread: 6 },
    kafka: { brokers: brokers.addresses, replicationFactor: 1, minInSyncReplicas: 1 },
    postgres: database,
    blobs: { s3: { bucket: await s3.createBucket(), endpoint: s3.endpoint } },
    mailbox: { storeEngine: 'postgres' },
    ingress: { relayNetworks: ['0.0.0.0/0'], maxConnectionsPerClient: 200 },
    delivery: { graceMs: '10s', siteInitialConnections: 10, siteConnections: 10 },
    scaling: { everyMs: '1s', usefulPerWorker: 100, patienceMs: '10m' },
  };
  writeFileSync(values, JSON.stringify(valuesOf(config)));
  const startedMs = performance.now();
  plane.helm(['install', 'r', CHART, '-n', NAMESPACE, '-f', values, '--wait', '--timeout', '150s']);
  const installed = seconds(performance.now() - startedMs);
  const address = (service: string) => inNamespace(plane, 'get', 'service', service, '-o', 'jsonpath={.spec.clusterIP}');
  const [ingress, mail] = [address('r-angarium-ingress'), address('r-angarium-mail')];
  const world = { plane, sink, slow, values, door: `${ingress}:25`, doorWithTls: `${ingress}:465`, mailDoor: `${mail}:995`, accounts: 0 };
  command(world, ['domain', 'add', DOMAIN]);
  const hosts = { 'sink.test': sink, 'client.test': sink, 'slow.test': slow };
  for (const [domain, { port }] of Object.entries(hosts))
    command(world, ['transport', 'add', domain, 'smarthost', `${NODE_ADDRESS}:${port}`, '--tls', 'never']);
  return {
    world,
    row: {
      what: 'install of the real image: 2 ingress, 2 routing, 1 delivery, 2 mailbox',
      shown: `all ready after ${installed}, each at most ${startSeconds(plane)} s after its container started`,
    },
  };
}

/** Longest time from the start of a container to its pod being ready, in whole seconds as Kubernetes keeps them. */
function startSeconds(plane: ControlPlane): number {
  const { items } = JSON.parse(
    inNamespace(plane, 'get', 'pods', '-l', 'app.kubernetes.io/component notin (topics,test)', '-o', 'json'),
  ) as {
    items: {
      status: {
        conditions: { type: string; lastTransitionTime: string }[];
        containerStatuses: { state: { running?: { startedAt: string } } }[];
      };
    }[];
  };
  return Math.max(
    ...items.map(({ status }) => {
      const ready = status.conditions.find(({ type }) => type === 'Ready')?.lastTransitionTime ?? '';
      return (Date.parse(ready) - Date.parse(status.containerStatuses[0]?.state.running?.startedAt ?? '')) / 1000;
    }),
  );
}

/** As NOTES tell it. */
function command({ plane }: World, args: readonly string[], stdin?: string): void {
  plane.kubectl(['-n', NAMESPACE, 'exec', '-i', 'deploy/r-angarium-routing', '--', 'angarium', ...args], stdin ?? '');
}

/** Pods of a service that are not being ended. */
function podsOf({ plane }: World, role: string): readonly { readonly name: string; readonly address: string; readonly isReady: boolean }[] {
  const { items } = JSON.parse(inNamespace(plane, 'get', 'pods', '-l', `app.kubernetes.io/component=${role}`, '-o', 'json')) as {
    items: {
      metadata: { name: string; deletionTimestamp?: string };
      status: { podIP?: string; conditions?: { type: string; status: string }[] };
    }[];
  };
  return items
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata, status }) => ({
      name: metadata.name,
      address: status.podIP ?? '',
      isReady: status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false,
    }));
}

async function metricsOf(address: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`http://${address}:2080/metrics`, { signal: AbortSignal.timeout(5000) })).text();
  return new Map([...text.matchAll(/^(angarium_\w+) ([\d.e+-]+)$/gm)].map(([, name = '', value]) => [name, Number(value)]));
}

/** The identity of promise 2 with nothing queued, as the worker that counts tells it. */
async function isCounted(world: World): Promise<true | undefined> {
  const all = await Promise.all(podsOf(world, 'delivery').map(({ address }) => metricsOf(address).catch(() => new Map<string, number>())));
  return (
    all.some((metrics) => {
      const of = (name: string) => metrics.get(`angarium_accounting_${name}`) ?? Number.NaN;
      return of('accepted_recipients') > 0 && of('queued_recipients') === 0 && of('difference_recipients') === 0;
    }) || undefined
  );
}

interface Outcome {
  readonly taken: number;
  readonly copies: number;
  readonly codes: ReadonlySet<number>;
  readonly silenceMs: number;
}

/** Load while something happens; then every 250 has arrived, and the count closes. */
async function survive(world: World, name: string, happen: (load: Load) => Promise<void>, copiesAtMost = COPIES_AT_MOST): Promise<Outcome> {
  const account = `a${++world.accounts}@${DOMAIN}`;
  command(world, ['account', 'add', account], `${PASSWORD}\n`);
  const recipient = (number: number) => (number % 2 === 0 ? account : `u${number % 50}@sink.test`);
  const load = startLoad({ address: world.door, sessions: 6, perSecond: 60, recipient, name });
  await eventually('the load', () => (load.taken.size > 50 ? true : undefined));
  await happen(load);
  const before = load.taken.size;
  await eventually('mail after it', () => (load.taken.size > before + 100 ? true : undefined));
  const silenceMs = load.longestSilenceMs();
  await load.stop();
  const copies = await eventually(
    `${name}: every 250 has arrived`,
    async () => {
      const inMailbox = await readMailbox({ address: world.mailDoor, login: account, password: PASSWORD });
      const all = new Map([...world.sink.copies(), ...inMailbox]);
      if ([...load.taken].some((id) => !all.has(id)) || !(await isCounted(world))) return undefined;
      return [...load.taken].reduce((sum, id) => sum + (all.get(id) ?? 0) - 1, 0);
    },
    SETTLE_MS,
  );
  assert.ok(copies <= copiesAtMost, `${copies} copies`);
  return { taken: load.taken.size, copies, codes: new Set(load.refused.values()), silenceMs };
}

const told = ({ taken, copies, codes, silenceMs }: Outcome) =>
  `${taken} accepted, 0 lost, ${copies} copies, the count closes; longest time without a 250: ${seconds(silenceMs)}; refusals: ${[...codes].join(', ') || 'none'}`;

async function deletions(world: World): Promise<Row> {
  const outcome = await survive(world, 'deleted', async () => {
    for (const role of ['ingress', 'routing', 'delivery', 'mailbox']) {
      const [first] = podsOf(world, role);
      inNamespace(world.plane, 'delete', 'pod', first?.name ?? '', '--wait=false');
      await eventually(`${role} again`, () => {
        const pods = podsOf(world, role);
        return pods.every(({ name, isReady }) => isReady && name !== first?.name) ? true : undefined;
      });
    }
  });
  return { what: 'a pod of each service deleted in turn, under load', shown: told(outcome) };
}

async function killed(world: World): Promise<Row> {
  const outcome = await survive(world, 'killed', async () => {
    for (const role of ['ingress', 'routing', 'delivery', 'mailbox']) {
      const [first] = podsOf(world, role);
      inNamespace(world.plane, 'delete', 'pod', first?.name ?? '', '--grace-period=0', '--force', '--wait=false');
      await eventually(`${role} again`, () => {
        const pods = podsOf(world, role);
        return pods.every(({ name, isReady }) => isReady && name !== first?.name) ? true : undefined;
      });
    }
  });
  return { what: 'the same without any grace (kill -9)', shown: told(outcome) };
}

async function rollingUpgrade(world: World): Promise<Row> {
  const outcome = await survive(
    world,
    'upgraded',
    async () => {
      const change = ['--set', 'pods.annotations.upgraded=yes'];
      await world.plane.helmBeside(['upgrade', 'r', CHART, '-n', NAMESPACE, '-f', world.values, ...change, '--wait', '--timeout', '240s']);
    },
    0,
  );
  assert.deepEqual(
    [...outcome.codes].filter((code) => code !== 421),
    [],
  );
  return { what: 'rolling upgrade of all services (helm upgrade), under load', shown: told(outcome) };
}

const lanesOf = async (world: World) =>
  (await Promise.all(podsOf(world, 'delivery').map(({ address }) => metricsOf(address).catch(() => new Map<string, number>())))).map(
    (metrics) => metrics.get('angarium_delivery_lanes_live') ?? 0,
  );

/** A burst to a host that takes ten a second from each worker: more workers come by themselves, and go again. */
async function scaled(world: World): Promise<Row> {
  const seen: number[] = [(await lanesOf(world)).length];
  const burst = 600;
  let load: Load | undefined;
  const reaches = (replicas: number) =>
    eventually(
      `${replicas} workers that have lanes`,
      async () => {
        const lanes = await lanesOf(world);
        if (seen.at(-1) !== lanes.length) seen.push(lanes.length);
        const areAll = lanes.every((count) => count > 0) && lanes.reduce((sum, one) => sum + one, 0) === 12;
        return lanes.length === replicas && areAll ? true : undefined;
      },
      240_000,
    );
  const change = ['--set', 'delivery.autoscaling.mode=external'];
  await world.plane.helmBeside(['upgrade', 'r', CHART, '-n', NAMESPACE, '-f', world.values, ...change, '--wait', '--timeout', '240s']);
  const outcome = await survive(
    world,
    'scaled',
    async () => {
      const slowly = {
        address: world.door,
        sessions: 6,
        recipient: (number: number) => `u${number}@slow.test`,
        name: 'burst',
        messages: burst,
      };
      load = startLoad(slowly);
      await load.done;
      await reaches(3);
      await reaches(1);
    },
    0,
  );
  assert.equal(load?.taken.size, burst);
  const copies = world.slow.copies();
  assert.deepEqual([copies.size, [...copies.values()].filter((count) => count !== 1)], [burst, []]);
  return {
    what: `a burst of ${burst} to a slow host: the scaler wants more workers and fewer again`,
    shown: `workers ${seen.join(' → ')}; ${told(outcome)}`,
  };
}

async function renewed(world: World): Promise<Row> {
  const names = () => podsOf(world, 'ingress').map(({ name }) => name);
  const before = names();
  assert.equal(Number.parseInt(await servedSerial(world.doorWithTls), 16), 1001);
  renewCertificate(world.plane, 2002);
  const startedMs = performance.now();
  await eventually(
    'the renewed certificate',
    async () => (Number.parseInt(await servedSerial(world.doorWithTls), 16) === 2002 ? true : undefined),
    150_000,
  );
  assert.deepEqual(names(), before);
  const restarts = inNamespace(
    world.plane,
    'get',
    'pods',
    '-l',
    'app.kubernetes.io/component=ingress',
    '-o',
    'jsonpath={.items[*].status.containerStatuses[*].restartCount}',
  );
  assert.match(restarts, /^0( 0)*$/);
  return {
    what: 'a renewed certificate in the secret',
    shown: `served after ${seconds(performance.now() - startedMs)}, without a restart`,
  };
}

/** As an operator asks for it, beside the cluster. */
function status({ plane }: World): Row {
  const main = new URL('../../services/angarium/src/main.ts', import.meta.url).pathname;
  const env = { ...process.env, KUBECONFIG: join(plane.folder, 'kubeconfig') };
  const told = execFileSync(process.execPath, [main, 'cluster', 'status', 'r', '-n', NAMESPACE, '--json'], { env, encoding: 'utf8' });
  const pods = JSON.parse(told) as { service: string; isReady: boolean; lanes?: number }[];
  assert.ok(pods.every(({ isReady }) => isReady));
  assert.equal(
    pods.reduce((sum, { lanes = 0 }) => sum + lanes, 0),
    12,
  );
  return { what: '`angarium cluster status`', shown: `${pods.length} pods, all ready and alike; all 12 lanes owned` };
}

export async function runMail(plane: ControlPlane, folder: string): Promise<readonly Row[]> {
  const ends: (() => Promise<void>)[] = [];
  try {
    const { world, row } = await install(plane, folder, ends);
    plane.helm(['test', 'r', '-n', NAMESPACE, '--timeout', '90s']);
    const rows = [row, { what: 'helm test of the real image', shown: 'MX, submission and POP3 greet' }];
    for (const show of [status, deletions, killed, rollingUpgrade, scaled, renewed]) rows.push(await show(world));
    plane.helm(['uninstall', 'r', '-n', NAMESPACE, '--wait']);
    return rows;
  } catch (error) {
    for (const args of [
      ['get', 'pods', '-o', 'wide'],
      ['get', 'events', '--sort-by=.lastTimestamp'],
      ['logs', '-l', 'app.kubernetes.io/instance=r', '--all-containers', '--tail=8', '--prefix'],
    ])
      console.error(
        plane
          .tryKubectl(['-n', NAMESPACE, ...args])
          .stdout.split('\n')
          .slice(-60)
          .join('\n'),
      );
    throw error;
  } finally {
    for (const end of ends.reverse()) await end();
  }
}
