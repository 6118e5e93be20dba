import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cpuUsOf, type Mta, memoryMibOf, until, type Way } from './mta.ts';

const MAIN = new URL('../../services/angarium/src/main.ts', import.meta.url).pathname;
/** The flags of its first line, which `env` would give it. */
const FLAGS = ['--max-semi-space-size=4'];
const START_MS = 30_000;
const USERS = 10;

/** The server whose insides are known. */
export interface Angarium extends Mta {
  counts(): Promise<Readonly<Record<string, number>>>;
  /** Octets of the heap in use, with what it holds outside. */
  heldOctets(): Promise<number>;
}

/** Ports and the load's network; everything else is as it comes. */
const configOf = (folder: string, port: number): string =>
  JSON.stringify({
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

function commander(config: string, folder: string) {
  return (args: readonly string[], stdin = ''): Promise<string> =>
    new Promise((resolve, reject) => {
      const child = execFile(process.execPath, [MAIN, ...args, '--config', config], { cwd: folder }, (error, stdout, stderr) => {
        if (error) reject(new Error(`angarium ${args.join(' ')}: ${stdout}${stderr}`));
        else resolve(stdout);
      });
      child.stdin?.end(stdin);
    });
}

async function setUp(command: ReturnType<typeof commander>, { relay = {}, isHeld = false, local }: Way): Promise<void> {
  for (const [domain, host] of Object.entries(relay)) await command(['transport', 'add', domain, 'smarthost', host, '--tls', 'never']);
  if (isHeld) await command(['queue', 'suspend', 'all', '--reason', 'bench']);
  if (local === undefined) return;
  await command(['domain', 'add', local]);
  for (let user = 0; user < USERS; user++) await command(['account', 'add', `u${user}@${local}`], 'a password of a bench\n');
}

/** Sum of the series of a metric whose labels match. */
function sumOf(text: string, name: string, labels = /./): number {
  const lines = text.split('\n').filter((line) => line.startsWith(name) && !line.startsWith('#') && labels.test(line));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** Write calls of a process so far. */
const writeCallsOf = (pid: number): number => Number(/^syscw: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0);

/** Counts of what it has done so far, by name. */
async function countsOf(pid: number, metrics: () => Promise<string>): Promise<Readonly<Record<string, number>>> {
  // Before the metrics, which are written too.
  const calls = writeCallsOf(pid);
  const text = await metrics();
  return {
    'system calls': calls,
    batches: sumOf(text, 'angarium_log_batches_total'),
    entries: sumOf(text, 'angarium_log_entries_total'),
    octets: sumOf(text, 'angarium_log_written_octets_total'),
    'minor collections': sumOf(text, 'nodejs_gc_duration_seconds_count', /minor/),
  };
}

/** `angarium up` in a folder of its own, at `port` and the five after it. */
export const startAngarium =
  (scratch: string, port: number, flags: readonly string[] = []) =>
  async (way: Way): Promise<Angarium> => {
    await mkdir(scratch, { recursive: true });
    const folder = await mkdtemp(join(scratch, 'angarium-'));
    const config = join(folder, 'angarium.yaml');
    await writeFile(config, configOf(folder, port));
    const child = spawn(process.execPath, [...FLAGS, ...flags, MAIN, 'up', '--config', config], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const pid = child.pid ?? 0;
    const url = `http://127.0.0.1:${port}`;
    let loopDelayP99Ms = 0;
    // The delay is measured from scrape to scrape, whoever asks.
    const metrics = async (): Promise<string> => {
      const text = await (await fetch(`${url}/metrics`)).text();
      loopDelayP99Ms = Math.max(loopDelayP99Ms, sumOf(text, 'nodejs_eventloop_lag_p99_seconds') * 1000);
      return text;
    };
    const isReady = () =>
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    if (!(await until(isReady, START_MS))) throw new Error('angarium did not start');
    const command = commander(config, folder);
    await setUp(command, way);
    return {
      name: 'Angarium',
      smtp: { host: '127.0.0.1', port: port + 1 },
      cpuUs: () => cpuUsOf(pid),
      memoryMib: () => memoryMibOf(pid),
      delivered: async () => sumOf(await metrics(), 'angarium_delivery_outcomes_total', /delivered/),
      queued: async () => sumOf(await metrics(), 'angarium_delivery_recipients_waiting'),
      flush: async () => void (await command(['queue', 'flush', '--all'])),
      loopDelayP99Ms: async () => {
        await metrics();
        const longestMs = loopDelayP99Ms;
        loopDelayP99Ms = 0;
        return longestMs;
      },
      counts: () => countsOf(pid, metrics),
      heldOctets: async () => {
        const text = await metrics();
        return sumOf(text, 'nodejs_heap_size_used_bytes') + sumOf(text, 'nodejs_external_memory_bytes');
      },
      stop: async () => {
        child.kill('SIGTERM');
        await once(child, 'close');
        await rm(folder, { recursive: true, force: true });
      },
    };
  };
