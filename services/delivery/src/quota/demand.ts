import type { Demand, Scheduler } from '@angarium/scheduler';
import type { Room } from './room.ts';

interface Moment {
  readonly scheduler: Pick<Scheduler, 'site' | 'oldestReadyMs'>;
  readonly nowMs: number;
}

/** What could go to the sites of a limit now. */
export function demandOf(room: Room, sites: ReadonlyMap<string, readonly Room[]>, { scheduler, nowMs }: Moment): Demand {
  let ready = room.starts;
  let sinceMs = nowMs;
  for (const [key, rooms] of sites) {
    if (!rooms.includes(room)) continue;
    const site = scheduler.site(key);
    if (site === undefined || site.ready === 0 || site.suspended || site.closedUntilMs > nowMs) continue;
    ready += site.state === 'dead' ? 1 : site.ready;
    sinceMs = Math.min(sinceMs, scheduler.oldestReadyMs(key));
  }
  return { ready, oldestMs: Math.max(0, nowMs - sinceMs) };
}
