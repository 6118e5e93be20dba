import { readFileSync } from 'node:fs';
import { type BlobStore, createMemoryBlobs } from '@angarium/blob';
import { type AppendFate, type MemoryLog, openMemoryLog } from '@angarium/log';
import { type Accepted, decodeRecord } from '@angarium/records';
import {
  type Clock,
  type Config,
  createMetrics,
  type KeyPair,
  type Logger,
  loadConfig,
  type Metrics,
  noTracing,
  type TlsSource,
} from '@angarium/runtime';
import { createIngress, type Ingress } from '../index.ts';
import { createFakeDirectory, type FakeDirectory } from './directory.ts';

const fixture = (name: string): KeyPair => ({
  key: readFileSync(new URL(`../fixtures/${name}.key.pem`, import.meta.url)),
  cert: readFileSync(new URL(`../fixtures/${name}.cert.pem`, import.meta.url)),
});
export const PAIRS = { first: fixture('localhost'), renewed: fixture('renewed') };

/** Content of a message that came in its record, octet by octet. */
export function contentOf(message: Accepted | undefined): string {
  const place = message?.content?.place;
  if (place?.$case !== 'inline') throw new Error(`no inline content: ${JSON.stringify(message)}`);
  return Buffer.from(place.value).toString('latin1');
}

/** Time that stands still until it is moved. */
export interface ManualClock extends Clock {
  advance(ms: number): void;
}

export function createManualClock(startMs = Date.UTC(2026, 0, 2, 3, 4, 5)): ManualClock {
  let now = startMs;
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  return {
    nowMs: () => now,
    after(delayMs, run) {
      if (delayMs <= 0) queueMicrotask(run);
      if (delayMs <= 0) return () => {};
      const timer = { atMs: now + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      now += ms;
      for (const timer of [...timers]) if (timer.atMs <= now && timers.delete(timer)) timer.run();
    },
  };
}

export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

function createRecordingLogger(lines: LogLine[]): Logger {
  const write = (fields: object, event: string) => void lines.push({ ...fields, event });
  return { debug() {}, info: write, warn: write, error: write, child: () => createRecordingLogger(lines) };
}

export interface TestIngress {
  readonly ingress: Ingress;
  readonly clock: ManualClock;
  readonly directory: FakeDirectory;
  readonly log: MemoryLog;
  readonly blobs: BlobStore;
  readonly lines: LogLine[];
  port(listener: 'mx' | 'submission' | 'submissions'): number;
  /** Every message in the log, decoded. */
  accepted(): Promise<readonly Accepted[]>;
  renewCertificate(): void;
  metric(name: string): Promise<number>;
}

export interface TestOptions {
  /** Keys of the section `ingress`, as in the configuration file. */
  readonly ingress?: Readonly<Record<string, unknown>>;
  readonly fate?: () => AppendFate | Promise<AppendFate>;
  readonly blobs?: BlobStore;
  readonly log?: (log: MemoryLog) => MemoryLog;
}

const PARTITIONS = 2;

export async function readAccepted(log: MemoryLog): Promise<readonly Accepted[]> {
  const found: Accepted[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (const { value } of await log.read('mail.in', partition, 0, Number.MAX_SAFE_INTEGER)) {
      const decoded = decodeRecord(value);
      if (decoded.is === 'known' && decoded.kind.$case === 'accepted') found.push(decoded.kind.value);
    }
  }
  return found;
}

function configFor(overrides: TestOptions['ingress']): Config {
  const listen = { listen: ['127.0.0.1:0'] };
  const file = {
    hostname: 'mx.test',
    ingress: { mx: listen, submission: listen, submissions: listen, authFailureDelayMs: 0, maxEventLoopLagMs: 60_000, ...overrides },
  };
  const loaded = loadConfig({ file: { name: 'test', text: JSON.stringify(file) }, environment: {} });
  if (loaded.is === 'invalid') throw new Error(JSON.stringify(loaded.errors));
  return loaded.config;
}

function createTls(): { readonly tls: TlsSource; renew(): void } {
  let pair = PAIRS.first;
  const listeners = new Set<() => void>();
  const onChange = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const renew = () => {
    pair = PAIRS.renewed;
    for (const listener of listeners) listener();
  };
  return { tls: { current: () => pair, onChange }, renew };
}

/** Sum of the samples whose line starts with `name`, labels included. */
async function readMetric(metrics: Metrics, name: string): Promise<number> {
  const { text } = await metrics.scrape();
  const found = text.split('\n').filter((line) => line.startsWith(name));
  return found.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** An ingress on free loopback ports over the memory engines; stopped when the test ends. */
export async function startIngress(t: { after(run: () => Promise<void>): void }, options: TestOptions = {}): Promise<TestIngress> {
  const { fate, blobs = createMemoryBlobs(), log: wrap = (log) => log } = options;
  const clock = createManualClock();
  const log = wrap(openMemoryLog({ partitions: { 'mail.in': PARTITIONS }, nowMs: clock.nowMs, ...(fate && { fate }) }));
  const metrics = createMetrics({ withProcess: false });
  const directory = createFakeDirectory();
  const lines: LogLine[] = [];
  const { tls, renew } = createTls();
  const ports = { log, blobs, directory, laneTableVersion: () => 7 };
  const base = { clock, random: Math.random, logger: createRecordingLogger(lines), metrics, tracing: noTracing, tls };
  const ingress = createIngress({ config: configFor(options.ingress), ...base, ...ports });
  await ingress.start();
  t.after(async () => {
    const stopped = ingress.stop();
    clock.advance(60_000);
    await stopped;
  });
  return {
    ingress,
    clock,
    directory,
    log,
    blobs,
    lines,
    port: (listener) => Number(ingress.addresses[listener][0]?.split(':')[1]),
    accepted: () => readAccepted(log),
    renewCertificate: renew,
    metric: (name) => readMetric(metrics, name),
  };
}
