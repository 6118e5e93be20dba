import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { LoadOptions, LoadReport } from './load.ts';
import type { SinkReport } from './sink.ts';

/** Where a server under test sends the mail of each domain. */
export interface Way {
  /** By domain, "host:port" of a smarthost. */
  readonly relay?: Readonly<Record<string, string>>;
  /** Takes mail and delivers none. */
  readonly isHeld?: boolean;
  /** Domain with the mailboxes `u0` to `u9`. */
  readonly local?: string;
}

/** A mail server, started for one measurement. */
export interface Mta {
  readonly name: string;
  /** "host:port" that takes mail for every domain of the way. */
  readonly smtp: { readonly host: string; readonly port: number };
  /** CPU of all its processes so far, ended ones too. */
  cpuUs(): number;
  /** Memory of all its processes: proportional set size, MiB. */
  memoryMib(): number;
  /** Messages in mailboxes. */
  delivered(): Promise<number>;
  /** Messages that wait after a first attempt, or are held. */
  queued(): Promise<number>;
  /** Tries everything that waits, now. */
  flush(): Promise<void>;
  /** Longest delays of the event loop since the last call; undefined where there is none. */
  loopDelayP99Ms(): Promise<number | undefined>;
  stop(): Promise<void>;
}

export type StartMta = (way: Way) => Promise<Mta>;

const HZ = 100;

function statOf(pid: number): { ppid: number; ownUs: number; endedUs: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const us = (at: number) => ((fields[at] ?? 0) / HZ) * 1e6;
    return { ppid: fields[1] ?? 0, ownUs: us(11) + us(12), endedUs: us(13) + us(14) };
  } catch {
    return undefined;
  }
}

/** The process and all that come of it. */
export function treeOf(root: number): number[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  const children = new Map<number, number[]>();
  for (const pid of all) {
    const ppid = statOf(pid)?.ppid ?? 0;
    children.set(ppid, [...(children.get(ppid) ?? []), pid]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

export const cpuUsOf = (root: number): number =>
  treeOf(root).reduce((sum, pid) => sum + (statOf(pid)?.ownUs ?? 0) + (statOf(pid)?.endedUs ?? 0), 0);

export function memoryMibOf(root: number): number {
  const kib = treeOf(root).map((pid) => {
    try {
      return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0);
    } catch {
      return 0;
    }
  });
  return kib.reduce((sum, one) => sum + one, 0) / 1024;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Rare enough to cost the server next to nothing. */
const LOOK_MS = 100;

/** Looks again and again until it holds; false: it did not within `ms`. */
export async function until(holds: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  for (const endMs = performance.now() + ms; performance.now() < endMs; await pause(LOOK_MS)) if (await holds()) return true;
  return false;
}

const script = (name: string): string => new URL(name, import.meta.url).pathname;

/** Runs a load in a process of its own. */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const child = spawn(process.execPath, [script('load.ts'), JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(child, 'close');
  return JSON.parse(output) as LoadReport;
}

export interface Sink {
  report(): Promise<SinkReport>;
  /** The report so far; then everything starts at 0. */
  reset(): Promise<SinkReport>;
  stop(): Promise<void>;
}

export async function startSink(port: number, { delayMs = 0 } = {}): Promise<Sink> {
  const child: ChildProcess = spawn(process.execPath, [script('sink.ts'), JSON.stringify({ port, delayMs })], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (!child.stdout) throw new Error('a sink without output');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  const ask = async (question: string): Promise<SinkReport> => {
    child.stdin?.write(`${question}\n`);
    return JSON.parse((await lines.next()).value as string) as SinkReport;
  };
  return {
    report: () => ask('report'),
    reset: () => ask('reset'),
    stop: async () => {
      child.kill();
      await once(child, 'close');
    },
  };
}
