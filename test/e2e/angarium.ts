import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const MAIN = new URL('../../services/angarium/src/main.ts', import.meta.url).pathname;
/** Its first line asks for Node by its name: the one that runs the tests. */
const ENV = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
const START_WITHIN_MS = 30_000;
/** Longest wait for a log line. */
const WAIT_MS = 30_000;

export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string };
export type Addresses = Readonly<Record<'mx' | 'submission' | 'submissions' | 'pop3' | 'pop3s', readonly string[]>> & {
  readonly metrics: string;
};
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A real process of the product, started as a user would, on free ports of the loopback address. */
export interface Angarium {
  readonly addresses: Addresses;
  /** What it printed that is not a log line. */
  readonly printed: readonly string[];
  readonly lines: readonly LogLine[];
  readonly folder: string;
  readonly pid: number;
  /** Runs `angarium <args>` against it. */
  command(args: readonly string[], stdin?: string): Promise<Finished>;
  /** Resolves with the first line, past or coming, that matches; fails after 30 s. */
  waitFor(event: string, matches?: (line: LogLine) => boolean): Promise<LogLine>;
  metric(name: string): Promise<number>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** Ports 0 everywhere; tests add what they are about. */
const BASE = {
  hostname: 'angarium.test',
  metrics: { listen: '127.0.0.1:0' },
  ingress: { mx: { listen: ['127.0.0.1:0'] }, submission: { listen: ['127.0.0.1:0'] }, submissions: { listen: ['127.0.0.1:0'] } },
  mailbox: { pop3: { listen: ['127.0.0.1:0'] }, pop3s: { listen: ['127.0.0.1:0'] } },
  journal: { lanes: 4, inPartitions: 2, localSpread: 2 },
};
export type Tree = { readonly [key: string]: unknown };

/** Both trees; where both have a value, that of `over`. */
export function merge(base: Tree, over: Tree): Tree {
  const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);
  const entries = Object.entries(over).map(([key, value]) => {
    const below = base[key];
    return [key, isTree(value) && isTree(below) ? merge(below, value) : value];
  });
  return { ...base, ...Object.fromEntries(entries) };
}

export async function makeFolder(): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'angarium-'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

export function run(program: string, args: readonly string[], stdin = '', env: NodeJS.ProcessEnv = process.env): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr: error !== null && code === -1 ? `${stderr}${error.message}` : stderr });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin);
  });
}

interface Output {
  readonly lines: LogLine[];
  readonly printed: string[];
  waitFor: Angarium['waitFor'];
}

function readOutput(child: ChildProcess): Output {
  const lines: LogLine[] = [];
  const printed: string[] = [];
  const waiting = new Set<() => void>();
  const take = (text: string) => {
    if (text.startsWith('{')) lines.push(JSON.parse(text));
    else printed.push(text);
    for (const look of waiting) look();
  };
  let isOver = false;
  for (const stream of [child.stdout, child.stderr]) if (stream) createInterface(stream).on('line', take);
  child.once('close', () => {
    isOver = true;
    for (const look of waiting) look();
  });
  const waitFor: Angarium['waitFor'] = (event, matches = () => true) =>
    new Promise((resolve, reject) => {
      let isLate = false;
      let seen = 0;
      const look = () => {
        const found = lines.slice(seen).find((line) => line.event === event && matches(line));
        seen = lines.length;
        if (!found && !isOver && !isLate) return;
        waiting.delete(look);
        clearTimeout(late);
        if (found) resolve(found);
        else
          reject(
            new Error(
              `${isOver ? 'ended' : `${WAIT_MS} ms`} without ${event}:\n${printed.join('\n')}\n${lines
                .slice(-5)
                .map((line) => JSON.stringify(line))
                .join('\n')}`,
            ),
          );
      };
      const late = setTimeout(() => {
        isLate = true;
        look();
      }, WAIT_MS);
      waiting.add(look);
      look();
    });
  return { lines, printed, waitFor };
}

export type Role = 'up' | 'ingress' | 'routing' | 'delivery' | 'mailbox' | 'scaler';

/** Starts `angarium up`, or one service alone, on the folder and waits until it is ready. */
export async function startAngarium(folder: string, config: Tree = {}, role: Role = 'up'): Promise<Angarium> {
  const file = join(folder, 'angarium.yaml');
  await writeFile(file, JSON.stringify(merge({ ...BASE, dataFolder: join(folder, 'data'), log: { level: 'info', flushMs: 20 } }, config)));
  const child = spawn(MAIN, [role, '--config', file], { env: ENV, stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const output = readOutput(child);
  const late = setTimeout(() => child.kill('SIGKILL'), START_WITHIN_MS);
  const ready = await output.waitFor('process.ready').finally(() => clearTimeout(late));
  const addresses = ready as unknown as Addresses;
  return {
    addresses,
    ...output,
    folder,
    pid: child.pid ?? 0,
    command: (args, stdin) => run(process.execPath, [MAIN, '--config', file, ...args], stdin),
    metric: async (name) => {
      const text = await (await fetch(`http://${addresses.metrics}/metrics`)).text();
      const values = text.split('\n').filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length] ?? ''));
      return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },
    stop: () => {
      child.kill('SIGTERM');
      return closed;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** Starts it once more on a folder that it has run on, and kills it after so many ms, ready or not; `before` runs just before. */
export async function startAndKill(folder: string, afterMs: number, before: () => void): Promise<void> {
  const child = spawn(MAIN, ['up', '--config', join(folder, 'angarium.yaml')], { env: ENV, stdio: 'ignore' });
  const closed = once(child, 'close');
  setTimeout(() => {
    before();
    child.kill('SIGKILL');
  }, afterMs);
  await closed;
}

/** Asks until the answer is a value; fails after the limit. For conditions that nothing announces. */
export async function until<T>(ask: () => Promise<T | undefined>, limitMs = 15_000): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${ask}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export interface MailCount {
  readonly accepted: number;
  readonly expanded: number;
  readonly delivered: number;
  readonly bounced: number;
  readonly expired: number;
  readonly discarded: number;
  readonly queued: number;
  readonly difference: number;
}

const COUNTS = ['accepted', 'expanded', 'delivered', 'bounced', 'expired', 'discarded', 'queued', 'difference'] as const;

/** Recipients that entered, by the log lines of those who took them: an independent witness of `accepted`. */
function witnessed({ lines }: Angarium): number {
  const taken = lines.filter(({ event }) => event === 'ingress.message.accepted').reduce((sum, line) => sum + Number(line.recipients), 0);
  return taken + lines.filter(({ event }) => event === 'delivery.notification.handed_over').length;
}

/** The accounting identity of promise 2, as exported now. */
export async function accounting(angarium: Angarium): Promise<MailCount> {
  const values = await Promise.all(
    COUNTS.map(async (name) => [name, await angarium.metric(`angarium_accounting_${name}_recipients`)] as const),
  );
  return Object.fromEntries(values) as unknown as MailCount;
}

/** The same, once it holds with `queued` recipients and every mail that was taken since the start is in it. */
export function mailCount(angarium: Angarium, queued: number, acceptedBefore = 0): Promise<MailCount> {
  return until(async () => {
    const count = await accounting(angarium);
    const ended = count.delivered + count.bounced + count.expired + count.discarded + count.queued;
    const isWhole = count.accepted - acceptedBefore === witnessed(angarium) && count.accepted + count.expanded === ended;
    return isWhole && count.difference === 0 && count.queued === queued ? count : undefined;
  });
}
