import { readFileSync } from 'node:fs';
import { type BlobStore, createMemoryBlobs } from '@angarium/blob';
import { type AppendFate, type MemoryLog, openMemoryLog } from '@angarium/log';
import { type Accepted, decodeRecord } from '@angarium/records';
import { CheckResult, type Directory, Unavailable } from '@angarium/rpc';
import { type Clock, createMetrics, type KeyPair, type Logger, loadConfig, type Metrics } from '@angarium/runtime';
import { canonicalAddress } from '@angarium/smtp';
import { createIngress, type Ingress } from '../index.ts';

const fixture = (name: string): KeyPair => ({
  key: readFileSync(new URL(`../fixtures/${name}.key.pem`, import.meta.url)),
  cert: readFileSync(new URL(`../fixtures/${name}.cert.pem`, import.meta.url)),
});
export const PAIRS = { first: fixture('localhost'), renewed: fixture('renewed') };

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

export interface FakeDirectory extends Directory {
  isDown: boolean;
  /** Forward-paths asked about, one list a request. */
  readonly asked: string[][];
}

const LOCAL = ['ann@here.example', 'bob@here.example', '"a b"@here.example', 'büro@here.example'];
const DISABLED = ['old@here.example'];
const PASSWORD = 'secret';

/** Hosts here.example with ann, bob and the disabled old; ann owns her subaddresses and sales@here.example. */
export function createFakeDirectory(): FakeDirectory {
  const judge = (path: string): CheckResult => {
    if (path.toLowerCase() === 'postmaster') return CheckResult.LOCAL;
    const address = canonicalAddress(path);
    if (!address.endsWith('@here.example')) return CheckResult.REMOTE;
    if (DISABLED.includes(address)) return CheckResult.DISABLED;
    return LOCAL.includes(address) || /^u\d+@/.test(address) ? CheckResult.LOCAL : CheckResult.UNKNOWN_USER;
  };
  const owns = (address: string) => /^(ann(\+.*)?|sales)@here\.example$/.test(canonicalAddress(address));
  const never = async (): Promise<never> => Promise.reject(new Unavailable('not asked by ingress'));
  const directory: FakeDirectory = {
    isDown: false,
    asked: [],
    async check({ forwardPaths }) {
      directory.asked.push(forwardPaths);
      if (directory.isDown) throw new Unavailable('down');
      return { results: forwardPaths.map(judge) };
    },
    async owns({ account, addresses }) {
      if (directory.isDown) throw new Unavailable('down');
      return { owned: addresses.map((address) => account === 'ann@here.example' && owns(address)) };
    },
    async authenticate({ login, password }) {
      if (directory.isDown) throw new Unavailable('down');
      const accepted = ['ann', 'ann@here.example'].includes(login) && password === PASSWORD;
      return { accepted, account: accepted ? 'ann@here.example' : '' };
    },
    expand: never,
    transport: never,
    account: never,
  };
  return directory;
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
  readonly metrics: Metrics;
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

/** An ingress on free loopback ports over the memory engines; stopped when the test ends. */
export async function startIngress(
  t: { after(run: () => Promise<void>): void },
  { ingress: overrides, fate, blobs = createMemoryBlobs(), log: wrap = (log) => log }: TestOptions = {},
): Promise<TestIngress> {
  const listen = { listen: ['127.0.0.1:0'] };
  const file = {
    hostname: 'mx.test',
    ingress: { mx: listen, submission: listen, submissions: listen, authFailureDelayMs: 0, ...overrides },
  };
  const loaded = loadConfig({ file: { name: 'test', text: JSON.stringify(file) }, environment: {} });
  if (loaded.is === 'invalid') throw new Error(JSON.stringify(loaded.errors));
  const clock = createManualClock();
  const log = wrap(openMemoryLog({ partitions: { 'mail.in': PARTITIONS }, nowMs: clock.nowMs, ...(fate && { fate }) }));
  const metrics = createMetrics({ withProcess: false });
  const directory = createFakeDirectory();
  const lines: LogLine[] = [];
  let pair = PAIRS.first;
  const listeners = new Set<() => void>();
  const tls = {
    current: () => pair,
    onChange: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const deps = {
    config: loaded.config,
    clock,
    random: Math.random,
    logger: createRecordingLogger(lines),
    metrics,
    tls,
    log,
    blobs,
    directory,
  };
  const ingress = createIngress({ ...deps, laneTableVersion: () => 7 });
  await ingress.start();
  let isStopped = false;
  t.after(async () => {
    if (isStopped) return;
    isStopped = true;
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
    metrics,
    lines,
    port: (listener) => Number(ingress.addresses[listener][0]?.split(':')[1]),
    accepted: () => readAccepted(log),
    renewCertificate() {
      pair = PAIRS.renewed;
      for (const listener of listeners) listener();
    },
    async metric(name) {
      const { text } = await metrics.scrape();
      const found = text.split('\n').filter((line) => line.startsWith(name));
      return found.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    },
  };
}
