import type { LoadOptions } from './load.ts';
import {
  DRAIN_MS,
  type Floor,
  KIB,
  type Limit,
  loadOf,
  OURS,
  ours,
  type Row,
  rates,
  relay,
  watched,
  withMta,
  withSink,
} from './measuring.ts';
import { type Mta, pause, runLoad, startSink, until, type Way } from './mta.ts';

export interface AcceptOptions {
  readonly connections: number;
  readonly recipients?: number;
  readonly octets?: number;
  readonly floors?: readonly Floor[];
  readonly limits?: readonly Limit[];
}

export function accept({ connections, recipients = 1, octets = 2 * KIB, floors = [], limits = [] }: AcceptOptions): Row {
  const size = octets >= KIB ** 2 ? `${octets / KIB ** 2} MiB` : `${octets / KIB} KiB`;
  const to = recipients === 1 ? '' : `, ${recipients} recipients`;
  const users = Math.max(10, recipients);
  const spec = { connections, recipients, octets, users };
  // What is held stays: half a million recipients would be a backlog, and another row.
  const mostWarmSeconds = recipients > 1 || octets >= KIB ** 2 ? 3 : Number.POSITIVE_INFINITY;
  return {
    name: octets >= KIB ** 2 ? 'accept-large' : `accept-${connections}${recipients === 1 ? '' : '-many'}`,
    title: `accept, delivery held, ${size}, ${connections} connections${to}`,
    floors,
    limits: [...limits, ...OURS],
    run: (start, { seconds, warmSeconds }) =>
      withMta(start, { isHeld: true }, async (mta) => {
        await runLoad(loadOf(mta, { ...spec, name: 'warm', seconds: Math.min(warmSeconds, mostWarmSeconds) }));
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

export const NONE_LOST: readonly Limit[] = [
  { figure: 'lost', atMost: 0 },
  { figure: 'duplicates', atMost: 0 },
];

export interface RelayOptions extends Pick<Row, 'name' | 'title' | 'floors'> {
  readonly load: (seconds: number) => Partial<LoadOptions>;
  readonly limits?: readonly Limit[];
}

export function relayRow({ limits = [], ...o }: RelayOptions): Row {
  return {
    ...o,
    limits: [...limits, ...OURS, ...NONE_LOST],
    async run(start, { seconds, sinkPort, warmSeconds }) {
      return withSink(sinkPort, (sink) =>
        withMta(start, { relay: { 'sink.test': `127.0.0.1:${sinkPort}` } }, async (mta) => {
          await relay(mta, sink, { seconds: warmSeconds });
          await mta.loopDelayP99Ms();
          const { result, memoryMib } = await watched(mta, relay(mta, sink, o.load(seconds)));
          return { ...result.figures, ...(await ours(mta, memoryMib)) };
        }),
      );
    },
  };
}

const backlog: Row = {
  name: 'backlog',
  isLong: true,
  title: 'deferred messages to a dead destination',
  floors: [{ figure: 'drain msg/s', atLeast: 2 }],
  limits: [{ figure: 'during / before', atLeast: 0.95 }, { figure: 'octets/queued', atMost: KIB }, { figure: 'lost', atMost: 0 }, ...OURS],
  async run(start, { seconds, backlog: wanted, sinkPort, warmSeconds }) {
    const way: Way = { relay: { 'sink.test': `127.0.0.1:${sinkPort}`, 'dead.test': `127.0.0.1:${sinkPort + 1}` } };
    return withSink(sinkPort, (fresh) =>
      withMta(start, way, async (mta) => {
        await relay(mta, fresh, { seconds: warmSeconds });
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
      }),
    );
  },
};

const slowHalf: Row = {
  name: 'slow-half',
  title: 'half the mail to a sink that takes 2 s a message, 200 msg/s offered',
  floors: [],
  limits: [{ figure: 'fast p99 with / without', atMost: 1.2 }, ...OURS],
  async run(start, { seconds, sinkPort, warmSeconds }) {
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
        await relay(mta, fast, { seconds: warmSeconds, domains: ['fast.test'] });
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
  run: (start, { seconds, warmSeconds }) =>
    withMta(start, { local: 'local.test' }, async (mta) => {
      const load = { domains: ['local.test'] };
      const warm = await runLoad(loadOf(mta, { ...load, name: 'warm', seconds: warmSeconds }));
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
  isLong: true,
  isOursAlone: true,
  title: 'relay of many messages: memory stays flat',
  floors: [],
  limits: [{ figure: 'last / middle MiB', atMost: 1.1 }, ...OURS, ...NONE_LOST],
  async run(start, { flat: messages, sinkPort }) {
    return withSink(sinkPort, (sink) =>
      withMta(start, { relay: { 'sink.test': `127.0.0.1:${sinkPort}` } }, async (mta) => {
        const first = await watched(mta, relay(mta, sink, { messages: messages / 2, perConnection: 100 }));
        const second = await watched(mta, relay(mta, sink, { messages: messages / 2, perConnection: 100 }));
        const memoryMib = Math.max(first.memoryMib, second.memoryMib);
        const { result } = second;
        return { messages, ...result.figures, 'last / middle MiB': second.memoryMib / first.memoryMib, ...(await ours(mta, memoryMib)) };
      }),
    );
  },
};

const faster = (times: number): readonly Floor[] => [
  { figure: 'msg/s', atLeast: times },
  { figure: 'p99 ms', atMost: 1 },
];

/** The rows of the benchmark in their order. */
export const ROWS: readonly Row[] = [
  accept({ connections: 1, floors: faster(1.2) }),
  accept({ connections: 10, floors: faster(2.5) }),
  accept({ connections: 100, floors: faster(3) }),
  accept({ connections: 10, recipients: 50, floors: [{ figure: 'msg/s', atLeast: 5 }] }),
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
  accept({ connections: 10, octets: 10 * KIB ** 2, floors: [{ figure: 'msg/s', atLeast: 2 }] }),
  flat,
];
