import { createFlow, createRing, flowInTurn } from './flow.ts';
import { createHeap } from './heap.ts';
import { arm, createPool, takeSite } from './pool.ts';
import { conclude, hasRoom, type Pool, type PoolOptions, type Site, type Ticket, type Verdict } from './site.ts';
import { createSuspensions, scopesOf } from './suspension.ts';
import type { Unit } from './unit.ts';

export interface SchedulerOptions<PoolName extends string> {
  readonly pools: Readonly<Record<PoolName, PoolOptions>>;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Sites without units whose state is remembered. */
  readonly maxIdleSites: number;
}

export interface Offer<PoolName extends string> {
  readonly pool: PoolName;
  readonly site: string;
  /** For the queue tools. */
  readonly title: string;
  /** Not before; 0: at once. */
  readonly dueAtMs: number;
  /** Deferred since the site failed: due, too, as soon as the site is reached. */
  readonly waitsForSite: boolean;
}

export interface Start<U extends Unit> {
  /** Held no more. */
  readonly unit: U;
  /** Room at the site that is taken until `finished`. */
  readonly ticket: Ticket;
}

/** What keeps a held unit from starting; `none`: nothing but its turn. `untilMs` 0: not known. */
export interface Gate {
  readonly gate: 'due' | 'site' | 'limit' | 'suspended' | 'none';
  readonly untilMs: number;
  /** Scope of the suspension. */
  readonly scope: string;
}

export type SiteView = Pick<Site, 'key' | 'title' | 'state' | 'active' | 'closedUntilMs' | 'suspended' | 'window'> & {
  readonly units: readonly Unit[];
};

/**
 * Decides which mail goes next. Pure: time and chance are arguments, nothing is awaited. Every call is O(log n) in the units
 * held, but for orders about a whole site, tenant or domain, which look at each of its units.
 */
export interface Scheduler<U extends Unit, PoolName extends string = string> {
  /** Takes a unit that is not held. */
  offer(unit: U, offer: Offer<PoolName>, nowMs: number): void;
  /** Gives a unit back. No-op for one that is not held. */
  remove(unit: U, nowMs: number): void;
  /** At most `max` units that may start now. No limit is ever exceeded. */
  next(nowMs: number, max: number): readonly Start<U>[];
  /** @throws RangeError when told twice of one ticket */
  finished(ticket: Ticket, verdict: Verdict, nowMs: number): void;
  /** Instant from which `next` may have more to start without any other call; Infinity: none. */
  wakeAtMs(): number;
  /** Nothing of the scope ("domain:", "site:", "tenant:" and a name, or "all") starts, probes neither. */
  suspend(scope: string, nowMs: number): void;
  resume(scope: string, nowMs: number): void;
  /** The unit is due now. */
  flush(unit: U, nowMs: number): void;
  /** A dead or throttled site is tried at once. */
  openSite(key: string, nowMs: number): void;
  gate(unit: U, nowMs: number): Gate;
  site(key: string): SiteView | undefined;
  sites(): Iterable<SiteView>;
  unitsAt(key: string): readonly U[];
  activeIn(pool: PoolName): number;
}

export function createScheduler<U extends Unit, PoolName extends string>(options: SchedulerOptions<PoolName>): Scheduler<U, PoolName> {
  const state = createState(options);
  const { sites, pools, due, suspensions } = state;
  return {
    offer: (unit, offer, nowMs) => hold(state, unit, offer, nowMs),
    remove(unit, nowMs) {
      const { site } = unit;
      if (unit.place === 'none' || site === undefined) return;
      leaveSite(state, unit);
      settle(state, site, nowMs);
    },
    next(nowMs, max) {
      for (let unit = due.first(); unit !== undefined && unit.dueAtMs <= nowMs; unit = due.first()) makeReady(state, unit, nowMs);
      const starts: Start<U>[] = [];
      if (suspensions.has('all')) return starts;
      for (const pool of pools.values()) while (starts.length < max && startOne(state, pool, { nowMs, starts: starts as Start<Unit>[] }));
      return starts;
    },
    finished(ticket, verdict, nowMs) {
      if (!ticket.open) throw new RangeError('a ticket was finished twice');
      ticket.open = false;
      const { site, flow } = ticket;
      const wasDead = site.state === 'dead';
      site.pool.closed.remove(site);
      conclude(site, ticket, { verdict, nowMs, random: options.random, options: site.pool.options });
      site.active--;
      flow.active--;
      if (flow.active === 0 && !flow.inRing && site.flows.get(flow.tenant) === flow) site.flows.delete(flow.tenant);
      site.pool.active--;
      if (wasDead && site.state === 'open') releaseWaiting(state, site, nowMs);
      settle(state, site, nowMs);
    },
    wakeAtMs() {
      let at = due.first()?.dueAtMs ?? Number.POSITIVE_INFINITY;
      if (suspensions.has('all')) return at;
      for (const { closed, active, options: pool } of pools.values()) {
        if (active < pool.limit) at = Math.min(at, closed.first()?.closedUntilMs ?? at);
      }
      return at;
    },
    suspend: (scope, nowMs) => suspend(state, scope, nowMs),
    resume: (scope, nowMs) => resume(state, scope, nowMs),
    flush(unit, nowMs) {
      if (unit.place === 'due') makeReady(state, unit, nowMs);
    },
    openSite(key, nowMs) {
      const site = sites.get(key);
      if (site === undefined) return;
      site.pool.closed.remove(site);
      site.closedUntilMs = 0;
      arm(site, nowMs);
    },
    gate: (unit, nowMs) => gateOf(state, unit, nowMs),
    site: (key) => sites.get(key),
    sites: () => sites.values(),
    unitsAt: (key) => (sites.get(key)?.units ?? []) as U[],
    activeIn: (pool) => pools.get(pool)?.active ?? 0,
  };
}

type State = ReturnType<typeof createState>;

function createState(options: SchedulerOptions<string>) {
  return {
    sites: new Map<string, Site>(),
    /** Sites without units that are not as new, least recently used first. */
    idle: new Map<string, Site>(),
    pools: new Map(Object.entries<PoolOptions>(options.pools).map(([name, pool]) => [name, createPool(pool)])),
    due: createHeap<Unit>((a, b) => (a.dueAtMs === b.dueAtMs ? a.sequence < b.sequence : a.dueAtMs < b.dueAtMs)),
    suspensions: createSuspensions(),
    maxIdleSites: options.maxIdleSites,
    sequence: 0,
  };
}

function siteOf(state: State, { pool, site: key, title }: Offer<string>): Site {
  const known = state.sites.get(key);
  if (known !== undefined) {
    state.idle.delete(key);
    known.title = title;
    return known;
  }
  const home = state.pools.get(pool);
  if (home === undefined) throw new RangeError(`no pool is named ${pool}`);
  const site: Site = {
    key,
    title,
    pool: home,
    state: 'open',
    window: home.options.siteInitial,
    failedCohort: 0,
    closedUntilMs: 0,
    pauses: 0,
    probing: false,
    cutAtMs: 0,
    active: 0,
    units: [],
    ready: 0,
    flows: new Map(),
    ring: createRing(),
    suspended: state.suspensions.has(`site:${key}`) || state.suspensions.has(`site:${title}`),
    at: -1,
  };
  state.sites.set(key, site);
  return site;
}

function hold(state: State, unit: Unit, offer: Offer<string>, nowMs: number): void {
  if (unit.place !== 'none') throw new RangeError('a unit was offered twice');
  const site = siteOf(state, offer);
  unit.site = site;
  unit.siteAt = site.units.push(unit) - 1;
  unit.sequence = state.sequence++;
  unit.dueAtMs = offer.dueAtMs;
  unit.waitsForSite = offer.waitsForSite;
  if (offer.dueAtMs <= nowMs) {
    makeReady(state, unit, nowMs);
    return;
  }
  unit.place = 'due';
  state.due.add(unit);
}

function makeReady(state: State, unit: Unit, nowMs: number): void {
  const { site } = unit;
  if (site === undefined) return;
  state.due.remove(unit);
  let flow = site.flows.get(unit.tenant);
  if (flow === undefined) {
    flow = createFlow(unit.tenant);
    site.flows.set(unit.tenant, flow);
  }
  unit.flow = flow;
  unit.place = 'ready';
  flow.ready.add(unit);
  site.ready++;
  const isNew = !flow.inRing;
  if (isNew) {
    flow.inRing = true;
    site.ring.push(flow);
  }
  if (isNew || site.ready === 1) arm(site, nowMs);
}

/** Takes a unit out of whatever holds it back; it still belongs to its site. */
function unplace(state: State, unit: Unit): void {
  if (unit.place === 'due') state.due.remove(unit);
  else if (unit.place === 'parked') state.suspensions.unpark(unit);
  else if (unit.place === 'ready' && unit.flow !== undefined && unit.site !== undefined) {
    unit.flow.ready.remove(unit);
    unit.site.ready--;
  }
  unit.flow = undefined;
  unit.place = 'none';
}

function leaveSite(state: State, unit: Unit): void {
  unplace(state, unit);
  const { site, siteAt } = unit;
  if (site === undefined) return;
  const last = site.units.pop();
  if (last !== undefined && last !== unit) {
    site.units[siteAt] = last;
    last.siteAt = siteAt;
  }
  unit.site = undefined;
  unit.siteAt = -1;
}

/** After a change of a site: it is queued, or forgotten when nothing is left to know about it. */
function settle(state: State, site: Site, nowMs: number): void {
  arm(site, nowMs);
  if (site.units.length > 0 || site.active > 0) return;
  const isAsNew = site.state === 'open' && site.window === site.pool.options.siteInitial && site.failedCohort === 0;
  state.idle.delete(site.key);
  if (isAsNew) state.sites.delete(site.key);
  else state.idle.set(site.key, site);
  const oldest = state.idle.size > state.maxIdleSites ? state.idle.keys().next().value : undefined;
  if (oldest === undefined) return;
  state.idle.delete(oldest);
  state.sites.delete(oldest);
}

/** Starts one unit of one site of the pool; false: none may start. */
function startOne(state: State, pool: Pool, o: { readonly nowMs: number; readonly starts: Start<Unit>[] }): boolean {
  const site = takeSite(pool, o.nowMs);
  if (site === undefined) return false;
  const maxActive = Math.max(1, Math.ceil(pool.options.tenantShare * site.window));
  for (;;) {
    const flow = flowInTurn(site.ring, { maxActive, onIdle: ({ tenant, active }) => active === 0 && site.flows.delete(tenant) });
    const unit = flow?.ready.first();
    if (flow === undefined || unit === undefined) return true;
    const scope = state.suspensions.scopeOf(unit);
    if (scope !== undefined) {
      unplace(state, unit);
      state.suspensions.park(unit, scope);
      continue;
    }
    leaveSite(state, unit);
    flow.deficit -= unit.cost;
    flow.active++;
    site.active++;
    pool.active++;
    const isProbe = site.state === 'dead';
    if (isProbe) site.probing = true;
    o.starts.push({ unit, ticket: { site, flow, startedAtMs: o.nowMs, isProbe, open: true } });
    arm(site, o.nowMs);
    return true;
  }
}

/** The site is back: what was deferred because of it need not wait for its own time. */
function releaseWaiting(state: State, site: Site, nowMs: number): void {
  for (const unit of site.units) if (unit.waitsForSite && unit.place === 'due') makeReady(state, unit, nowMs);
}

function setSiteSuspended(state: State, nowMs: number): void {
  for (const site of state.sites.values()) {
    const [byKey, byTitle] = scopesOf(site);
    site.suspended = state.suspensions.has(byKey) || state.suspensions.has(byTitle);
    arm(site, nowMs);
  }
}

function suspend(state: State, scope: string, nowMs: number): void {
  state.suspensions.add(scope);
  if (scope.startsWith('site:')) setSiteSuspended(state, nowMs);
}

function resume(state: State, scope: string, nowMs: number): void {
  for (const unit of state.suspensions.end(scope)) makeReady(state, unit, nowMs);
  if (scope.startsWith('site:')) setSiteSuspended(state, nowMs);
}

function gateOf(state: State, unit: Unit, nowMs: number): Gate {
  const { site } = unit;
  if (site === undefined) return { gate: 'none', untilMs: 0, scope: '' };
  const scope = state.suspensions.scopeOf(unit) ?? scopesOf(site).find((name) => state.suspensions.has(name));
  if (scope !== undefined) return { gate: 'suspended', untilMs: 0, scope };
  if (unit.place === 'due' && unit.dueAtMs > nowMs) return { gate: 'due', untilMs: unit.dueAtMs, scope: '' };
  if (site.closedUntilMs > nowMs || site.state === 'dead') return { gate: 'site', untilMs: site.closedUntilMs, scope: '' };
  if (!hasRoom(site, nowMs) || site.pool.active >= site.pool.options.limit) return { gate: 'limit', untilMs: 0, scope: '' };
  return { gate: 'none', untilMs: 0, scope: '' };
}
