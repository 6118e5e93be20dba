import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cpuUsOf, type Mta, memoryMibOf, type Way } from './mta.ts';
import { configOf, heldOctetsOf, type Process, startProcess, sumOf } from './process.ts';

const USERS = 10;

/** The server whose insides are known. */
export interface Angarium extends Mta {
  counts(): Promise<Readonly<Record<string, number>>>;
  /** Octets of the heap in use, with what it holds outside. */
  heldOctets(): Promise<number>;
}

/** Says where mail goes: `directory` and `queue` run the command beside the process that keeps them. */
export async function setUp(o: { directory: Process['command']; queue: Process['command'] }, way: Way): Promise<void> {
  const { relay = {}, isHeld = false, local } = way;
  for (const [domain, host] of Object.entries(relay)) await o.directory(['transport', 'add', domain, 'smarthost', host, '--tls', 'never']);
  if (isHeld) await o.queue(['queue', 'suspend', 'all', '--reason', 'bench']);
  if (local === undefined) return;
  await o.directory(['domain', 'add', local]);
  for (let user = 0; user < USERS; user++) await o.directory(['account', 'add', `u${user}@${local}`], 'a password of a bench\n');
}

/** What delivery tells of its queue. */
export const queueOf = ({ metrics, command }: Process) => ({
  delivered: async () => sumOf(await metrics(), 'angarium_delivery_outcomes_total', /delivered/),
  queued: async () => sumOf(await metrics(), 'angarium_delivery_recipients_waiting'),
  flush: async () => void (await command(['queue', 'flush', '--all'])),
});

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
    const process = await startProcess({ role: 'up', folder, config: configOf(folder, port), flags });
    const { pid, command, metrics, loopDelayP99Ms } = process;
    await setUp({ directory: command, queue: command }, way);
    return {
      name: 'Angarium',
      smtp: { host: '127.0.0.1', port: port + 1 },
      cpuUs: () => cpuUsOf(pid),
      memoryMib: () => memoryMibOf(pid),
      ...queueOf(process),
      loopDelayP99Ms,
      counts: () => countsOf(pid, metrics),
      heldOctets: async () => heldOctetsOf(await metrics()),
      stop: async () => {
        await process.stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  };
