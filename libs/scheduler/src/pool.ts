import { createHeap } from './heap.ts';
import { hasRoom, opensAtMs, type Pool, type PoolOptions, type Site } from './site.ts';

export const createPool = (options: PoolOptions): Pool => ({
  options,
  active: 0,
  fresh: new Set(),
  busy: new Set(),
  closed: createHeap<Site>((a, b) => opensAtMs(a) < opensAtMs(b), {
    of: ({ at }) => at,
    set(site, at) {
      site.at = at;
    },
  }),
});

/** Puts a site where it belongs after anything about it has changed, at the end of its queue if it was in none. O(log sites). */
export function arm(site: Site, nowMs: number): void {
  const { pool } = site;
  const { fresh, busy, closed } = pool;
  closed.remove(site);
  // A gate is asked anew by what comes next.
  if (site.ready === 0 || site.suspended) site.shutUntilMs = 0;
  const mayStart = site.ready > 0 && hasRoom(site, nowMs);
  const [mine, other] = site.active === 0 ? [fresh, busy] : [busy, fresh];
  other.delete(site);
  if (mayStart) mine.add(site);
  else mine.delete(site);
  if (site.ready > 0 && !site.suspended && opensAtMs(site) > nowMs) closed.add(site);
}

/** The next site that may start something, taken out of its queue: one with nothing active goes first. */
export function takeSite(pool: Pool, nowMs: number): Site | undefined {
  for (let site = pool.closed.first(); site !== undefined && opensAtMs(site) <= nowMs; site = pool.closed.first()) arm(site, nowMs);
  const { limit, reserve } = pool.options;
  if (pool.active >= limit) return undefined;
  const queue = pool.fresh.size > 0 || pool.active >= limit - reserve ? pool.fresh : pool.busy;
  const site = queue.values().next().value;
  if (site !== undefined) queue.delete(site);
  return site;
}
