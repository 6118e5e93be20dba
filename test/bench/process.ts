import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { until } from './mta.ts';

const MAIN = new URL('../../services/angarium/src/main.ts', import.meta.url).pathname;
const START_MS = 60_000;

export interface ProcessOptions {
  /** `up`, or one service alone. */
  readonly role: string;
  /** Its configuration and data; made where it is missing. */
  readonly folder: string;
  readonly config: object & { readonly metrics: { readonly listen: string } };
  /** Of Node, beside those of its first line. */
  readonly flags?: readonly string[];
}

/** One process of Angarium that is ready. */
export interface Process {
  readonly pid: number;
  metrics(): Promise<string>;
  /** Longest delays of the event loop since the last call. */
  loopDelayP99Ms(): Promise<number>;
  /** Runs `angarium <args>` with its configuration, and gives what it printed. */
  command(args: readonly string[], stdin?: string): Promise<string>;
  stop(): Promise<void>;
}

/** Ports and the load's network; everything else is as it comes. */
export const configOf = (folder: string, port: number) => ({
  hostname: 'bench.test',
  dataFolder: join(folder, 'data'),
  metrics: { listen: `127.0.0.1:${port}` },
  ingress: {
    mx: { listen: [`127.0.0.1:${port + 1}`] },
    submission: { listen: [`127.0.0.1:${port + 2}`] },
    submissions: { listen: [`127.0.0.1:${port + 3}`] },
    relayNetworks: ['127.0.0.0/8'],
    maxConnectionsPerClient: 200,
  },
  mailbox: { pop3: { listen: [`127.0.0.1:${port + 4}`] }, pop3s: { listen: [`127.0.0.1:${port + 5}`] } },
});

/** Sum of the series of a metric whose labels match. */
export function sumOf(text: string, name: string, labels = /./): number {
  const lines = text.split('\n').filter((line) => line.startsWith(name) && !line.startsWith('#') && labels.test(line));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** Octets of its heap in use, with what it holds outside. */
export const heldOctetsOf = (metrics: string): number =>
  sumOf(metrics, 'nodejs_heap_size_used_bytes') + sumOf(metrics, 'nodejs_external_memory_bytes');

/** Flags of a process whose garbage can be collected. */
export const inspectedAt = (port: number): readonly string[] => [`--inspect=127.0.0.1:${port}`, '--inspect-publish-uid=http'];

/** Throws away what nobody holds, by the inspector. */
export async function collectGarbage(port: number): Promise<void> {
  const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as { webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(target?.webSocketDebuggerUrl ?? '');
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  const answered = new Promise((resolve) => socket.addEventListener('message', resolve));
  socket.send(JSON.stringify({ id: 1, method: 'HeapProfiler.collectGarbage' }));
  await answered;
  socket.close();
}

const runCommand = (args: readonly string[], o: { readonly folder: string; readonly stdin: string }): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [MAIN, ...args], { cwd: o.folder }, (error, stdout, stderr) => {
      if (error) reject(new Error(`angarium ${args.join(' ')}: ${stdout}${stderr}`));
      else resolve(stdout);
    });
    child.stdin?.end(o.stdin);
  });

/** Makes the topics that a cluster with this configuration needs. */
export async function createTopics({ folder, config }: ProcessOptions): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'angarium.yaml');
  await writeFile(file, JSON.stringify(config));
  await runCommand(['topics', 'create', '--config', file], { folder, stdin: '' });
}

/** Starts `angarium <role>` as a user would, and waits until it is ready. */
export async function startProcess({ role, folder, config, flags = [] }: ProcessOptions): Promise<Process> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'angarium.yaml');
  await writeFile(file, JSON.stringify(config));
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;
  const child = spawn(MAIN, [role, '--config', file], {
    cwd: folder,
    env: { ...process.env, PATH, NODE_OPTIONS: flags.join(' ') },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const url = `http://${config.metrics.listen}`;
  let longestMs = 0;
  // The delay is measured from scrape to scrape, whoever asks.
  const metrics = async (): Promise<string> => {
    const text = await (await fetch(`${url}/metrics`)).text();
    longestMs = Math.max(longestMs, sumOf(text, 'nodejs_eventloop_lag_p99_seconds') * 1000);
    return text;
  };
  const isReady = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  if (!(await until(isReady, START_MS))) throw new Error(`angarium ${role} did not start`);
  return {
    pid: child.pid ?? 0,
    metrics,
    command: (args, stdin = '') => runCommand([...args, '--config', file], { folder, stdin }),
    loopDelayP99Ms: async () => {
      await metrics();
      const found = longestMs;
      longestMs = 0;
      return found;
    },
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'close');
    },
  };
}
