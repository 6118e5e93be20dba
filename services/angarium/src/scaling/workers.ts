import { lookup } from 'node:dns/promises';
import type { WorkLoad } from '@angarium/scheduler';

/** What one worker told, and when. */
interface Told {
  readonly atMs: number;
  readonly load: Omit<WorkLoad, 'workers'>;
}

export interface WorkersOptions {
  /** "host:port"; of a name, every address behind it. */
  readonly at: readonly string[];
  readonly timeoutMs: number;
  readonly rememberMs: number;
}

export interface Asked {
  /** Undefined: nobody has answered for so long that nothing is known. */
  readonly load: WorkLoad | undefined;
  /** Workers that did not answer now. */
  readonly unanswered: number;
}

const GAUGES = {
  useful: 'angarium_delivery_useful_recipients',
  oldestS: 'angarium_delivery_useful_oldest_seconds',
  held: 'angarium_delivery_recipients_waiting',
} as const;

/** The load that a worker's metrics tell; undefined when it is not a delivery worker's, or not whole. */
export function parseLoad(metrics: string): Told['load'] | undefined {
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1] ?? Number.NaN);
  const [useful, oldestS, held] = [value(GAUGES.useful), value(GAUGES.oldestS), value(GAUGES.held)];
  if (![useful, oldestS, held].every(Number.isFinite)) return undefined;
  return { useful, oldestMs: oldestS * 1000, held };
}

async function addressesOf(at: string): Promise<readonly string[]> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(at) ?? [];
  const found = await lookup(host.replace(/^\[|\]$/g, ''), { all: true });
  return found.map(({ address, family }) => `${family === 6 ? `[${address}]` : address}:${port}`);
}

async function askWorker(address: string, timeoutMs: number): Promise<Told['load'] | undefined> {
  const response = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(timeoutMs) });
  return response.ok ? parseLoad(await response.text()) : undefined;
}

/** Asks all workers each time. A worker that is gone counts with what it told last for `rememberMs`: its mail is with others soon. */
export function createWorkers({ at, timeoutMs, rememberMs }: WorkersOptions) {
  const told = new Map<string, Told>();
  return async (nowMs: number): Promise<Asked> => {
    const names = await Promise.allSettled(at.map(addressesOf));
    const addresses = [...new Set(names.flatMap((found) => (found.status === 'fulfilled' ? found.value : [])))];
    const answers = await Promise.allSettled(addresses.map((address) => askWorker(address, timeoutMs)));
    let unanswered = names.filter(({ status }) => status === 'rejected').length;
    answers.forEach((answer, index) => {
      const load = answer.status === 'fulfilled' ? answer.value : undefined;
      if (load === undefined) unanswered++;
      else told.set(addresses[index] ?? '', { atMs: nowMs, load });
    });
    for (const [address, { atMs }] of told) if (nowMs - atMs > rememberMs) told.delete(address);
    const known = [...told.values()].map(({ load }) => load);
    if (known.length === 0) return { load: undefined, unanswered };
    return {
      load: {
        useful: known.reduce((sum, { useful }) => sum + useful, 0),
        oldestMs: Math.max(...known.map(({ oldestMs }) => oldestMs)),
        held: known.reduce((sum, { held }) => sum + held, 0),
        workers: [...told.values()].filter(({ atMs }) => atMs === nowMs).length,
      },
      unanswered,
    };
  };
}
