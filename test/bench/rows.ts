import type { LoadOptions, LoadReport } from './load.ts';
import { type Mta, pause, runLoad, type StartMta, startSink, until, type Way } from './mta.ts';

/** What one run of a row gives; figures by name. */
export type Figures = Readonly<Record<string, number>>;

/** How one figure compares with the peer's. */
export interface Floor {
  readonly figure: string;
  /** Ours divided by the peer's must be at least, or at most. */
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** A limit that is ours alone. */
export interface Limit {
  readonly figure: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Row {
  readonly name: string;
  readonly title: string;
  readonly floors: readonly Floor[];
  readonly limits: readonly Limit[];
  run(start: StartMta, o: RunOptions): Promise<Figures>;
}

export interface RunOptions {
  readonly seconds: number;
  /** Deferred messages of the backlog, messages of the flatness run. */
  readonly backlog: number;
  readonly flat: number;
  readonly sinkPort: number;
}

/** A server runs for weeks: what its first ten thousands of messages cost more than all others is not measured, on either side. */
const WARM_SECONDS = 12;
const DRAIN_MS = 600_000;
const KIB = 1024;
const RSS_MIB = 400;
const LOOP_MS = 50;
const OURS: readonly Limit[] = [
  { figure: 'memory MiB', atMost: RSS_MIB },
  { figure: 'loop p99 ms', atMost: LOOP_MS },
];

const loadOf = (mta: Mta, o: Partial<LoadOptions> & Pick<LoadOptions, 'name'>): LoadOptions => ({
  ...mta.smtp,
  connections: 10,
  octets: 2 * KIB,
  recipients: 1,
  domains: ['sink.test'],
  users: 10,
  perConnection: 10,
  ...o,
});

/** Highest memory while something runs. */
async function watched<T>(mta: Mta, work: Promise<T>): Promise<{ readonly result: T; readonly memoryMib: number }> {
  let memoryMib = mta.memoryMib();
  const timer = setInterval(() => {
    memoryMib = Math.max(memoryMib, mta.memoryMib());
  }, 1000);
  const result = await work.finally(() => clearInterval(timer));
  return { result, memoryMib: Math.max(memoryMib, mta.memoryMib()) };
}

async function ours(mta: Mta, memoryMib: number): Promise<Figures> {
  const loop = await mta.loopDelayP99Ms();
  return { 'memory MiB': memoryMib, ...(loop !== undefined && { 'loop p99 ms': loop }) };
}

async function withMta<T>(start: StartMta, way: Way, use: (mta: Mta) => Promise<T>): Promise<T> {
  const mta = await start(way);
  try {
    return await use(mta);
  } finally {
    await mta.stop();
  }
}

function accept(o: { connections: number; recipients?: number; octets?: number; floor: number; p99?: number }): Row {
  const { connections, recipients = 1, octets = 2 * KIB, floor, p99 } = o;
  const size = octets >= KIB ** 2 ? `${octets / KIB ** 2} MiB` : `${octets / KIB} KiB`;
  const to = recipients === 1 ? '' : `, ${recipients} recipients`;
  const users = Math.max(10, recipients);
  const spec = { connections, recipients, octets, users };
  // What is held stays: half a million recipients would be a backlog, and another row.
  const warmSeconds = recipients > 1 || octets >= KIB ** 2 ? 3 : WARM_SECONDS;
  return {
    name: octets >= KIB ** 2 ? 'accept-large' : `accept-${connections}${recipients === 1 ? '' : '-many'}`,
    title: `accept, delivery held, ${size}, ${connections} connections${to}`,
    floors: [{ figure: 'msg/s', atLeast: floor }, ...(p99 === undefined ? [] : [{ figure: 'p99 ms', atMost: p99 }])],
    limits: OURS,
    run: (start, { seconds }) =>
      withMta(start, { isHeld: true }, async (mta) => {
        await runLoad(loadOf(mta, { ...spec, name: 'warm', seconds: warmSeconds }));
        await mta.loopDelayP99Ms();
        const beforeUs = mta.cpuUs();
        const { result, memoryMib } = await watched(mta, runLoad(loadOf(mta, { ...spec, name: 'load', seconds })));
        const cpu = (mta.cpuUs() - beforeUs) / result.taken;
        return {
          ...rates(result),
          'CPU us/msg': cpu,
          'MiB/s': (result.taken * octets) / result.seconds / KIB ** 2,
          ...(await ours(mta, memoryMib)),
        };
      }),
  };
}

const rates = ({ taken, seconds, p50Ms, p99Ms, refused, cpuUsPerMessage }: LoadReport): Figures => ({
  'msg/s': taken / seconds,
  'p50 ms': p50Ms,
  'p99 ms': p99Ms,
  refused,
  'client us/msg': cpuUsPerMessage,
});

interface Relayed {
  readonly figures: Figures;
  readonly perSecond: number;
}

/** Sends for a time and waits for the last one to arrive; times are end to end. */
async function relay(mta: Mta, sink: Awaited<ReturnType<typeof startSink>>, load: Partial<LoadOptions>): Promise<Relayed> {
  await sink.reset();
  const startedMs = Date.now();
  const beforeUs = mta.cpuUs();
  const { taken } = await runLoad(loadOf(mta, { name: `relay-${startedMs}`, ...load }));
  await until(async () => (await sink.report()).messages >= taken, DRAIN_MS);
  const cpuUs = mta.cpuUs() - beforeUs;
  const { messages, duplicates, lastMs, p50Ms, p99Ms } = await sink.report();
  const perSecond = taken / ((lastMs - startedMs) / 1000);
  const lost = Math.max(0, taken - messages);
  return { perSecond, figures: { 'msg/s': perSecond, 'p50 ms': p50Ms, 'p99 ms': p99Ms, 'CPU us/msg': cpuUs / taken, lost, duplicates } };
}

const NONE_LOST: readonly Limit[] = [
  { figure: 'lost', atMost: 0 },
  { figure: 'duplicates', atMost: 0 },
];

function relayRow(o: { name: string; title: string; load: (seconds: number) => Partial<LoadOptions>; floors: readonly Floor[] }): Row {
  return {
    ...o,
    limits: [...OURS, ...NONE_LOST],
    async run(start, { seconds, sinkPort }) {
      const sink = await startSink(sinkPort);
      try {
        return await withMta(start, { relay: { 'sink.test': `127.0.0.1:${sinkPort}` } }, async (mta) => {
          await relay(mta, sink, { seconds: WARM_SECONDS });
          await mta.loopDelayP99Ms();
          const { result, memoryMib } = await watched(mta, relay(mta, sink, o.load(seconds)));
          return { ...result.figures, ...(await ours(mta, memoryMib)) };
        });
      } finally {
        await sink.stop();
      }
    },
  };
}

const backlog: Row = {
  name: 'backlog',
  title: 'deferred messages to a dead destination',
  floors: [{ figure: 'drain msg/s', atLeast: 2 }],
  limits: [{ figure: 'during / before', atLeast: 0.95 }, { figure: 'octets/queued', atMost: KIB }, { figure: 'lost', atMost: 0 }, ...OURS],
  async run(start, { seconds, backlog: wanted, sinkPort }) {
    const way: Way = { relay: { 'sink.test': `127.0.0.1:${sinkPort}`, 'dead.test': `127.0.0.1:${sinkPort + 1}` } };
    const fresh = await startSink(sinkPort);
    try {
      return await withMta(start, way, async (mta) => {
        await relay(mta, fresh, { seconds: WARM_SECONDS });
        const before = await relay(mta, fresh, { seconds });
        const emptyMib = mta.memoryMib();
        const fill = await runLoad(
          loadOf(mta, { name: 'dead', messages: wanted, connections: 50, perConnection: 100, domains: ['dead.test'] }),
        );
        await until(async () => (await mta.queued()) >= fill.taken, DRAIN_MS);
        const fullMib = mta.memoryMib();
        const during = await relay(mta, fresh, { seconds });
        const memoryMib = mta.memoryMib();
        const revived = await startSink(sinkPort + 1);
        const startedMs = Date.now();
        const beforeUs = mta.cpuUs();
        await mta.flush();
        await until(async () => (await revived.report()).messages >= fill.taken, DRAIN_MS);
        const { messages, lastMs } = await revived.report();
        await revived.stop();
        return {
          queued: fill.taken,
          'before msg/s': before.perSecond,
          'during msg/s': during.perSecond,
          'during / before': during.perSecond / before.perSecond,
          'octets/queued': ((fullMib - emptyMib) * KIB ** 2) / fill.taken,
          'drain msg/s': messages / ((lastMs - startedMs) / 1000),
          'drain CPU us/msg': (mta.cpuUs() - beforeUs) / Math.max(1, messages),
          lost: fill.taken - messages,
          ...(await ours(mta, memoryMib)),
        };
      });
    } finally {
      await fresh.stop();
    }
  },
};

const slowHalf: Row = {
  name: 'slow-half',
  title: 'half the mail to a sink that takes 2 s a message, 200 msg/s offered',
  floors: [],
  limits: [{ figure: 'fast p99 with / without', atMost: 1.2 }, ...OURS],
  async run(start, { seconds, sinkPort }) {
    const fast = await startSink(sinkPort);
    const slow = await startSink(sinkPort + 1, { delayMs: 2000 });
    const way: Way = { relay: { 'fast.test': `127.0.0.1:${sinkPort}`, 'slow.test': `127.0.0.1:${sinkPort + 1}` } };
    const span = Math.max(10, seconds);
    const offer = async (mta: Mta, domains: readonly string[], perSecond: number) => {
      await fast.reset();
      await runLoad(loadOf(mta, { name: domains.join(), domains, perSecond, seconds: span, connections: 20, perConnection: 1000 }));
      await pause(1000);
      return fast.report();
    };
    try {
      return await withMta(start, way, async (mta) => {
        await relay(mta, fast, { seconds: WARM_SECONDS, domains: ['fast.test'] });
        const alone = await offer(mta, ['fast.test'], 100);
        await mta.loopDelayP99Ms();
        const half = await offer(mta, ['fast.test', 'slow.test'], 200);
        const { mostConnections } = await slow.report();
        return {
          'fast msg/s': half.messages / span,
          'fast p50 ms': half.p50Ms,
          'fast p99 ms': half.p99Ms,
          'fast p99 without ms': alone.p99Ms,
          'fast p99 with / without': half.p99Ms / alone.p99Ms,
          'slow connections': mostConnections,
          ...(await ours(mta, mta.memoryMib())),
        };
      });
    } finally {
      await Promise.all([fast.stop(), slow.stop()]);
    }
  },
};

const local: Row = {
  name: 'local',
  title: 'local delivery into mailboxes, 10 connections',
  floors: [{ figure: 'msg/s', atLeast: 3 }],
  limits: [...OURS, { figure: 'lost', atMost: 0 }],
  run: (start, { seconds }) =>
    withMta(start, { local: 'local.test' }, async (mta) => {
      const load = { domains: ['local.test'] };
      const warm = await runLoad(loadOf(mta, { ...load, name: 'warm', seconds: WARM_SECONDS }));
      await until(async () => (await mta.delivered()) >= warm.taken, DRAIN_MS);
      await mta.loopDelayP99Ms();
      const startedMs = performance.now();
      const beforeUs = mta.cpuUs();
      const { result, memoryMib } = await watched(mta, runLoad(loadOf(mta, { ...load, name: 'load', seconds })));
      await until(async () => (await mta.delivered()) >= warm.taken + result.taken, DRAIN_MS);
      const perSecond = result.taken / ((performance.now() - startedMs) / 1000);
      const lost = warm.taken + result.taken - (await mta.delivered());
      return { 'msg/s': perSecond, 'CPU us/msg': (mta.cpuUs() - beforeUs) / result.taken, lost, ...(await ours(mta, memoryMib)) };
    }),
};

const flat: Row = {
  name: 'flat',
  title: 'relay of many messages: memory stays flat',
  floors: [],
  limits: [{ figure: 'last / middle MiB', atMost: 1.1 }, ...OURS, ...NONE_LOST],
  async run(start, { flat: messages, sinkPort }) {
    const sink = await startSink(sinkPort);
    try {
      return await withMta(start, { relay: { 'sink.test': `127.0.0.1:${sinkPort}` } }, async (mta) => {
        const first = await watched(mta, relay(mta, sink, { messages: messages / 2, perConnection: 100 }));
        const second = await watched(mta, relay(mta, sink, { messages: messages / 2, perConnection: 100 }));
        const memoryMib = Math.max(first.memoryMib, second.memoryMib);
        const { result } = second;
        return { messages, ...result.figures, 'last / middle MiB': second.memoryMib / first.memoryMib, ...(await ours(mta, memoryMib)) };
      });
    } finally {
      await sink.stop();
    }
  },
};

/** The rows of the benchmark in their order. */
export const ROWS: readonly Row[] = [
  accept({ connections: 1, floor: 1.2, p99: 1 }),
  accept({ connections: 10, floor: 2.5, p99: 1 }),
  accept({ connections: 100, floor: 3, p99: 1 }),
  accept({ connections: 10, recipients: 50, floor: 5 }),
  relayRow({
    name: 'relay',
    title: 'relay to a fast sink, 10 connections',
    load: (seconds) => ({ seconds }),
    floors: [
      { figure: 'msg/s', atLeast: 4 },
      { figure: 'CPU us/msg', atMost: 1 / 6 },
    ],
  }),
  relayRow({
    name: 'open',
    title: 'open load of 50 messages per second through relay',
    load: (seconds) => ({ seconds: Math.max(10, seconds), perSecond: 50, connections: 5 }),
    floors: [
      { figure: 'p50 ms', atMost: 1 },
      { figure: 'p99 ms', atMost: 1 },
    ],
  }),
  backlog,
  slowHalf,
  local,
  accept({ connections: 10, octets: 10 * KIB ** 2, floor: 2 }),
  flat,
];
