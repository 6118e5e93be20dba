import { type BenchCluster, ROLES } from './cluster.ts';
import { DRAIN_MS, type Figures, loadOf, type Row, relay, withMta, withSink } from './measuring.ts';
import { type Mta, pause, runLoad, type StartMta, until } from './mta.ts';
import { accept, NONE_LOST, relayRow } from './rows.ts';

const CPU_US = 600;
const SETTLE_MS = 20_000;
const IDLE_MS = 20_000;
/** Long enough for what is on its way at its end to count little. */
const LONG_SECONDS = 20;
/** Of a queued message: that it was enqueued, and that its first attempt was deferred. */
const RECORDS_EACH = 2;

const MANY = 50;
const CONNECTIONS = [10, MANY];
const relays = CONNECTIONS.map((connections) =>
  relayRow({
    name: `relay-${connections}`,
    title: `relay to a fast sink, three brokers, ${connections} connections`,
    load: (seconds) => ({ seconds, connections }),
    floors: [{ figure: 'msg/s', atLeast: 1 }],
    limits: [{ figure: 'CPU us/msg', atMost: CPU_US }],
  }),
);

/** The rows are for a cluster alone. */
const withCluster = (start: StartMta, way: Parameters<StartMta>[0], use: (cluster: BenchCluster) => Promise<Figures>) =>
  withMta(start, way, (mta) => use(mta as BenchCluster));

/** Sends for a time and waits until all is in mailboxes. */
async function deliver(mta: Mta, seconds: number): Promise<{ readonly perSecond: number; readonly cpuUs: number; readonly lost: number }> {
  const [before, beforeUs, startedMs] = [await mta.delivered(), mta.cpuUs(), performance.now()];
  const { taken } = await runLoad(loadOf(mta, { name: `local-${before}`, domains: ['local.test'], connections: MANY, seconds }));
  await until(async () => (await mta.delivered()) >= before + taken, DRAIN_MS);
  const perSecond = taken / ((performance.now() - startedMs) / 1000);
  return { perSecond, cpuUs: (mta.cpuUs() - beforeUs) / taken, lost: before + taken - (await mta.delivered()) };
}

const local: Row = {
  name: 'local',
  title: 'local delivery into mailboxes on PostgreSQL and S3, 50 connections',
  floors: [],
  limits: [
    { figure: 'local / relay', atLeast: 0.5 },
    { figure: 'lost', atMost: 0 },
  ],
  isOursAlone: true,
  async run(start, { seconds, sinkPort, warmSeconds }) {
    const span = Math.max(LONG_SECONDS, seconds);
    const way = { relay: { 'sink.test': `127.0.0.1:${sinkPort}` }, local: 'local.test' };
    return withSink(sinkPort, (sink) =>
      withCluster(start, way, async (mta) => {
        await deliver(mta, warmSeconds);
        await relay(mta, sink, { connections: MANY, seconds: warmSeconds / 2 });
        const relayed = await relay(mta, sink, { connections: MANY, seconds: span });
        const { perSecond, cpuUs, lost } = await deliver(mta, span);
        const ratio = perSecond / relayed.perSecond;
        return { 'msg/s': perSecond, 'CPU us/msg': cpuUs, 'relay msg/s': relayed.perSecond, 'local / relay': ratio, lost };
      }),
    );
  },
};

const backlog: Row = {
  name: 'backlog',
  title: 'deferred messages to a dead destination, one recipient each',
  floors: [],
  limits: [
    { figure: 'during / before', atLeast: 0.9 },
    { figure: 'octets/recipient', atMost: 300 },
    { figure: 'replayed records/s', atLeast: 20_000 },
    ...NONE_LOST,
  ],
  isLong: true,
  isOursAlone: true,
  async run(start, { seconds, backlog: messages, sinkPort, warmSeconds }) {
    const way = { relay: { 'sink.test': `127.0.0.1:${sinkPort}`, 'dead.test': `127.0.0.1:${sinkPort + 1}` } };
    const load = { connections: MANY, perConnection: 100 };
    return withSink(sinkPort, (sink) =>
      withCluster(start, way, async (mta) => {
        await relay(mta, sink, { ...load, seconds: warmSeconds });
        const span = { ...load, seconds: Math.max(LONG_SECONDS, seconds) };
        const before = await relay(mta, sink, span);
        const emptyOctets = await mta.heldOctets();
        const { taken } = await runLoad(loadOf(mta, { ...load, name: 'dead', messages, domains: ['dead.test'] }));
        await until(async () => (await mta.queued()) >= taken, DRAIN_MS);
        const fullOctets = await mta.heldOctets();
        const during = await relay(mta, sink, span);
        const replaySeconds = await mta.restartDelivery();
        const { lost = 0, duplicates = 0 } = during.figures;
        return {
          queued: taken,
          'before msg/s': before.perSecond,
          'during msg/s': during.perSecond,
          'during / before': during.perSecond / before.perSecond,
          'octets/recipient': (fullOctets - emptyOctets) / taken,
          'replay s': replaySeconds,
          'replayed records/s': (taken * RECORDS_EACH) / replaySeconds,
          lost: lost + taken - (await mta.queued()),
          duplicates,
          'memory MiB': mta.memoryMib(),
        };
      }),
    );
  },
};

const idle: Row = {
  name: 'idle',
  title: 'nothing to do',
  floors: [],
  limits: ROLES.map((role) => ({ figure: `${role} % of a core`, atMost: 3 })),
  isLong: true,
  isOursAlone: true,
  run: (start) =>
    withCluster(start, {}, async (mta) => {
      await pause(SETTLE_MS);
      const before = mta.cpuUsOfEach();
      await pause(IDLE_MS);
      const shares = [...mta.cpuUsOfEach()].map(([role, us]) => [`${role} % of a core`, (us - (before.get(role) ?? 0)) / (IDLE_MS * 10)]);
      return Object.fromEntries(shares);
    }),
};

/** The rows of the benchmark over Kafka, in their order. */
export const CLUSTER_ROWS: readonly Row[] = [
  accept({ connections: 10, limits: [{ figure: 'p99 ms', atMost: 100 }] }),
  ...relays,
  local,
  backlog,
  idle,
];
