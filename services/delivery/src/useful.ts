import { type MetricTable, registerGauges } from '@angarium/runtime';
import type { Core } from './core.ts';

export const USEFUL_GAUGES = {
  recipients: {
    kind: 'gauge',
    name: 'angarium_delivery_useful_recipients',
    help: 'Recipients that are due and that their receivers would take now from more workers: what is suspended, at a dead or throttled site, or beyond a limit counts for nothing.',
  },
  oldest: {
    kind: 'gauge',
    name: 'angarium_delivery_useful_oldest_seconds',
    help: 'How long the longest of them has been due, without those that fall under a limit; 0: none.',
  },
} as const satisfies MetricTable;

/** What a limit lets through in this time is work; the rest waits whatever the number of workers. */
const WITHIN_MS = 60_000;

interface Useful {
  readonly recipients: number;
  /** Infinity: none is due. */
  readonly oldestMs: number;
}

/** This worker's part of what each limit still lets through. */
function createShares({ deps, quota }: Core, workers: number) {
  const { limits, maxConnections } = deps.config.delivery;
  const left = new Map<string, number>();
  const most = (name: string): number => {
    const {
      connections = maxConnections,
      messages = Number.POSITIVE_INFINITY,
      perMs,
    } = limits.find((limit) => limit.name === name) ?? { perMs: 1 };
    // A receiver that wants fewer connections than one worker can open is one worker's affair.
    const byConnections = connections < maxConnections ? 1 : Number.POSITIVE_INFINITY;
    return Math.min(byConnections, messages * (WITHIN_MS / perMs)) / workers;
  };
  return {
    areLimited: (site: string) => (quota?.limitsOf(site) ?? []).length > 0,
    take(site: string, recipients: number): number {
      const names = quota?.limitsOf(site) ?? [];
      const taken = names.reduce((least, name) => Math.min(least, left.get(name) ?? most(name)), recipients);
      for (const name of names) left.set(name, (left.get(name) ?? most(name)) - taken);
      return taken;
    },
  };
}

/** Cost: one look at each site that has mail. */
export function usefulWork(core: Core, workers: number): Useful {
  const { scheduler, deps } = core;
  const nowMs = deps.clock.nowMs();
  const shares = createShares(core, Math.max(1, workers));
  let [recipients, oldestMs] = [0, Number.POSITIVE_INFINITY];
  for (const { key, state, suspended, closedUntilMs, recipients: its } of scheduler.sites()) {
    if (its.ready === 0 || suspended || state !== 'open' || closedUntilMs > nowMs) continue;
    recipients += shares.take(key, its.ready);
    if (!shares.areLimited(key)) oldestMs = Math.min(oldestMs, scheduler.readySinceMs(key));
  }
  return { recipients: Math.ceil(recipients), oldestMs };
}

/** `workers`: live ones of the cluster. `isSuspended`: nothing starts at all. */
export function exportUseful(core: Core, o: { readonly workers: () => number; readonly isSuspended: () => boolean }): void {
  const look = (): Useful => (o.isSuspended() ? { recipients: 0, oldestMs: Number.POSITIVE_INFINITY } : usefulWork(core, o.workers()));
  registerGauges(core.deps.metrics, USEFUL_GAUGES, {
    recipients: () => look().recipients,
    oldest: () => {
      const { oldestMs } = look();
      return Number.isFinite(oldestMs) ? Math.max(0, core.deps.clock.nowMs() - oldestMs) / 1000 : 0;
    },
  });
}
