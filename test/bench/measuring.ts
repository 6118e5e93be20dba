import type { LoadOptions, LoadReport } from './load.ts';
import { type Mta, runLoad, type Sink, type StartMta, startSink, until, type Way } from './mta.ts';

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
  /** Long enough for one run. */
  readonly isLong?: boolean;
  /** Has nothing that the peer could be compared in. */
  readonly isOursAlone?: boolean;
  run(start: StartMta, o: RunOptions): Promise<Figures>;
}

export interface RunOptions {
  readonly seconds: number;
  /** Deferred messages of the backlog, messages of the flatness run. */
  readonly backlog: number;
  readonly flat: number;
  readonly sinkPort: number;
  /** A server runs for weeks: what its first ten thousands of messages cost more than all others is not measured, on either side. */
  readonly warmSeconds: number;
}

export const DRAIN_MS = 600_000;
export const KIB = 1024;
const RSS_MIB = 400;
const LOOP_MS = 50;
export const OURS: readonly Limit[] = [
  { figure: 'memory MiB', atMost: RSS_MIB },
  { figure: 'loop p99 ms', atMost: LOOP_MS },
];

export const loadOf = (mta: Mta, o: Partial<LoadOptions> & Pick<LoadOptions, 'name'>): LoadOptions => ({
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
export async function watched<T>(mta: Mta, work: Promise<T>): Promise<{ readonly result: T; readonly memoryMib: number }> {
  let memoryMib = mta.memoryMib();
  const timer = setInterval(() => {
    memoryMib = Math.max(memoryMib, mta.memoryMib());
  }, 1000);
  const result = await work.finally(() => clearInterval(timer));
  return { result, memoryMib: Math.max(memoryMib, mta.memoryMib()) };
}

export async function ours(mta: Mta, memoryMib: number): Promise<Figures> {
  const loop = await mta.loopDelayP99Ms();
  return { 'memory MiB': memoryMib, ...(loop !== undefined && { 'loop p99 ms': loop }) };
}

export async function withMta<T>(start: StartMta, way: Way, use: (mta: Mta) => Promise<T>): Promise<T> {
  const mta = await start(way);
  try {
    return await use(mta);
  } finally {
    await mta.stop();
  }
}

/** A fast sink for as long as it is used. */
export async function withSink<T>(port: number, use: (sink: Sink) => Promise<T>): Promise<T> {
  const sink = await startSink(port);
  try {
    return await use(sink);
  } finally {
    await sink.stop();
  }
}

export const rates = ({ taken, seconds, p50Ms, p99Ms, refused, cpuUsPerMessage }: LoadReport): Figures => ({
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
export async function relay(mta: Mta, sink: Sink, load: Partial<LoadOptions>): Promise<Relayed> {
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
