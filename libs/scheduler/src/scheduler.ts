import { type Census, takeCensus } from './census.ts';
import { createRing, type Flow, flowInTurn, flowOf, settleFlow } from './flow.ts';
import type { Gate, Offer, SchedulerOptions, SiteView, Start, Whereabouts } from './offer.ts';
import { arm, createPool, takeSite } from './pool.ts';
import { conclude, hasRoom, opensAtMs, type Pool, type PoolOptions, type Site, type Ticket, type Verdict } from './site.ts';
import { createSuspensions, scopesOf } from './suspension.ts';
import { createUnitTable, type Place } from './unit.ts';

/**
 * Decides which mail goes next. Pure: time and chance are arguments, nothing is awaited. A unit is a number of the caller's, small
 * and not in use for another one: what is remembered of it takes about 70 octets. Every call is O(log n) in the units held, but for
 * orders about a tenant, a domain or all, which look at each unit that they held back.
 */
export interface Scheduler<PoolName extends string = string> {
  /** Takes a unit that is not held. */
  offer(unit: number, offer: Offer<PoolName>, nowMs: number): void;
  /** Gives a unit back. No-op for one that is not held. */
  remove(unit: number, nowMs: number): void;
  /** A held unit stands for so many recipients from now on. */
  shrink(unit: number, recipients: number): void;
  /** At most `max` units that may start now. No limit is ever exceeded. */
  next(nowMs: number, max: number): readonly Start[];
  /** @throws RangeError when told twice of one ticket */
  finished(ticket: Ticket, verdict: Verdict, nowMs: number): void;
  /** Instant from which `next` may have more to start without any other call; Infinity: none. */
  wakeAtMs(): number;
  /** Nothing of the scope ("domain:", "site:", "tenant:" and a name, or "all") starts, probes neither. */
  suspend(scope: string, nowMs: number): void;
  resume(scope: string, nowMs: number): void;
  /** The unit is due now. */
  flush(unit: number, nowMs: number): void;
  /** A dead or throttled site is tried at once. */
  openSite(key: string, nowMs: number): void;
  /** What the caller's gate said of the site holds no more: it is asked again. */
  reopen(key: string, nowMs: number): void;
  /** Undefined: not held. */
  find(unit: number): Whereabouts | undefined;
  gate(unit: number, nowMs: number): Gate;
  site(key: string): SiteView | undefined;
  sites(): Iterable<SiteView>;
  unitsAt(key: string): readonly number[];
  activeIn(pool: PoolName): number;
  /** Cost: one look at each site and at each unit, some milliseconds for a million. */
  census(nowMs: number): Census;
  /** The least `ageMs` of all units; Infinity: none is held. Cost: one look at each. */
  oldestMs(): number;
  /**
   * Recipients of all units by age: up to each of the edges, which ascend, and beyond the last one. Cost: one look at each, some
   * milliseconds for a million.
   */
  countAges(edgesMs: readonly number[], nowMs: number): readonly number[];
  /** About the least `ageMs` of what is ready at the site: of each tenant's next unit. Infinity: nothing is. */
  oldestReadyMs(key: string): number;
  /** About since when something is ready at the site: of each tenant's next unit. Infinity: nothing is. */
  readySinceMs(key: string): number;
}

export function createScheduler<PoolName extends string>(options: SchedulerOptions<PoolName>): Scheduler<PoolName> {
  const state = createState(options);
  const { sites, pools, units, suspensions } = state;
  return {
    offer: (unit, offer, nowMs) => hold(state, unit, offer, nowMs),
    remove(unit, nowMs) {
      const flow = units.flow(unit);
      if (flow === undefined) return;
      leaveSite(state, unit);
      settleFlow(flow);
      settle(state, flow.site, nowMs);
    },
    shrink(unit, recipients) {
      const place = units.place(unit);
      const flow = units.flow(unit);
      if (flow === undefined || place === 'none') return;
      flow.site.recipients[place] += recipients - units.recipients(unit);
      units.setRecipients(unit, recipients);
    },
    next: (nowMs, max) => startSome(state, nowMs, max),
    finished: (ticket, verdict, nowMs) => finish(state, ticket, { verdict, nowMs, random: options.random }),
    wakeAtMs: () => wakeAtMs(state),
    suspend: (scope, nowMs) => suspend(state, scope, nowMs),
    resume: (scope, nowMs) => resume(state, scope, nowMs),
    flush(unit, nowMs) {
      if (units.place(unit) === 'due') makeReady(state, unit, nowMs);
    },
    openSite(key, nowMs) {
      const site = sites.get(key);
      if (site === undefined) return;
      site.pool.closed.remove(site);
      site.closedUntilMs = 0;
      arm(site, nowMs);
    },
    reopen(key, nowMs) {
      const site = sites.get(key);
      if (site !== undefined) shut(site, 0, nowMs);
    },
    find: (unit) => find(state, unit),
    gate: (unit, nowMs) => gateOf(state, unit, nowMs),
    site: (key) => sites.get(key),
    sites: () => sites.values(),
    unitsAt: (key) => sites.get(key)?.units ?? [],
    activeIn: (pool) => pools.get(pool)?.active ?? 0,
    census: (nowMs) => takeCensus(sites.values(), { units, nowMs, isSuspended: suspensions.has('all') }),
    oldestMs() {
      let oldest = Number.POSITIVE_INFINITY;
      for (const site of sites.values()) for (const unit of site.units) oldest = Math.min(oldest, units.ageMs(unit));
      return oldest;
    },
    countAges: units.countAges,
    oldestReadyMs: (key) => Math.min(...nextUnits(state, key).map((unit) => units.ageMs(unit))),
    readySinceMs: (key) => Math.min(...nextUnits(state, key).map((unit) => Math.max(units.dueAtMs(unit), units.ageMs(unit)))),
  };
}

type State = ReturnType<typeof createState>;

/** Of each tenant at the site, the unit that is ready and whose turn is next. */
const nextUnits = ({ sites }: State, key: string): readonly number[] =>
  [...(sites.get(key)?.flows.values() ?? [])].flatMap(({ ready }) => ready.first() ?? []);

function createState(options: SchedulerOptions<string>) {
  const units = createUnitTable();
  return {
    units,
    sites: new Map<string, Site>(),
    /** Sites without units that are not as new, least recently used first. */
    idle: new Map<string, Site>(),
    pools: new Map(Object.entries<PoolOptions>(options.pools).map(([name, pool]) => [name, createPool(pool)])),
    due: units.createDueHeap(),
    suspensions: createSuspensions(units, options.domainOf),
    maxIdleSites: options.maxIdleSites,
    gateOf: options.gateOf,
  };
}

function siteOf(state: State, { pool, site: key, title }: Offer<string>, nowMs: number): Site {
  const known = state.sites.get(key);
  if (known !== undefined) {
    state.idle.delete(key);
    if (known.title !== title) rename(state, known, { title, nowMs });
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
    shutUntilMs: 0,
    pauses: 0,
    probing: false,
    cutAtMs: 0,
    active: 0,
    units: [],
    waiting: new Set(),
    ready: 0,
    recipients: { due: 0, ready: 0, parked: 0 },
    flows: new Map(),
    ring: createRing(),
    suspended: state.suspensions.has(`site:${key}`) || state.suspensions.has(`site:${title}`),
    at: -1,
  };
  state.sites.set(key, site);
  return site;
}

function hold(state: State, unit: number, offer: Offer<string>, nowMs: number): void {
  const { units, due } = state;
  if (units.flow(unit) !== undefined) throw new RangeError('a unit was offered twice');
  const flow = flowOf(siteOf(state, offer, nowMs), offer.tenant, units.createReadyHeap);
  units.hold(unit, { ...offer, flow });
  if (offer.dueAtMs <= nowMs) {
    makeReady(state, unit, nowMs);
    return;
  }
  setPlace(state, unit, flow, 'due');
  due.add(unit);
  if (offer.waitsForSite) flow.site.waiting.add(unit);
}

function startSome(state: State, nowMs: number, max: number): readonly Start[] {
  const { due, units, pools, suspensions } = state;
  for (let unit = due.first(); unit !== undefined && units.dueAtMs(unit) <= nowMs; unit = due.first()) makeReady(state, unit, nowMs);
  const starts: Start[] = [];
  if (suspensions.has('all')) return starts;
  for (const pool of pools.values()) while (starts.length < max && startOne(state, pool, { nowMs, starts }));
  return starts;
}

interface Conclusion {
  readonly verdict: Verdict;
  readonly nowMs: number;
  readonly random: () => number;
}

function finish(state: State, ticket: Ticket, conclusion: Conclusion): void {
  if (!ticket.open) throw new RangeError('a ticket was finished twice');
  ticket.open = false;
  const { site, flow } = ticket;
  const { nowMs } = conclusion;
  const wasDead = site.state === 'dead';
  site.pool.closed.remove(site);
  conclude(site, ticket, { ...conclusion, options: site.pool.options });
  site.active--;
  flow.active--;
  settleFlow(flow);
  site.pool.active--;
  // The site is back: what was deferred because of it need not wait for its own time.
  if (wasDead && site.state === 'open') for (const unit of [...site.waiting]) makeReady(state, unit, nowMs);
  settle(state, site, nowMs);
}

function wakeAtMs({ due, units, suspensions, pools }: State): number {
  const first = due.first();
  let at = first === undefined ? Number.POSITIVE_INFINITY : units.dueAtMs(first);
  if (suspensions.has('all')) return at;
  for (const { closed, active, options: pool } of pools.values()) {
    const site = closed.first();
    if (active < pool.limit && site !== undefined) at = Math.min(at, opensAtMs(site));
  }
  return at;
}

function setPlace({ units }: State, unit: number, { site }: Flow, place: Place): void {
  const was = units.place(unit);
  if (was !== 'none') site.recipients[was] -= units.recipients(unit);
  if (place !== 'none') site.recipients[place] += units.recipients(unit);
  units.setPlace(unit, place);
}

/** Takes a unit out of whatever holds it back; it still belongs to its site. */
function unplace(state: State, unit: number, flow: Flow): void {
  const { units, due, suspensions } = state;
  const place = units.place(unit);
  if (place === 'due') {
    due.remove(unit);
    flow.site.waiting.delete(unit);
  } else if (place === 'parked') suspensions.unpark(unit);
  else if (place === 'ready') {
    flow.ready.remove(unit);
    flow.site.ready--;
  }
  setPlace(state, unit, flow, 'none');
}

function makeReady(state: State, unit: number, nowMs: number): void {
  const flow = state.units.flow(unit);
  if (flow === undefined) return;
  const { site } = flow;
  unplace(state, unit, flow);
  setPlace(state, unit, flow, 'ready');
  flow.ready.add(unit);
  site.ready++;
  const isNew = !flow.inRing;
  if (isNew) {
    flow.inRing = true;
    site.ring.push(flow);
  }
  if (isNew || site.ready === 1) arm(site, nowMs);
}

function leaveSite(state: State, unit: number): void {
  const flow = state.units.flow(unit);
  if (flow === undefined) return;
  unplace(state, unit, flow);
  state.units.drop(unit);
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

/** Nothing starts at the site before. */
function shut(site: Site, untilMs: number, nowMs: number): void {
  site.pool.closed.remove(site);
  site.shutUntilMs = untilMs;
  arm(site, nowMs);
}

/** Starts one unit of one site of the pool, or finds the site shut; false: none may start. */
function startOne(state: State, pool: Pool, o: { readonly nowMs: number; readonly starts: Start[] }): boolean {
  const { suspensions, units } = state;
  const site = takeSite(pool, o.nowMs);
  if (site === undefined) return false;
  const openAtMs = state.gateOf?.(site.key, o.nowMs) ?? 0;
  if (openAtMs > o.nowMs) {
    shut(site, openAtMs, o.nowMs);
    return true;
  }
  const maxActive = Math.max(1, Math.ceil(pool.options.tenantShare * site.window));
  for (;;) {
    const flow = flowInTurn(site.ring, maxActive);
    const unit = flow?.ready.first();
    if (flow === undefined || unit === undefined) return true;
    const scope = suspensions.scopeOf(unit);
    if (scope !== undefined) {
      unplace(state, unit, flow);
      suspensions.park(unit, scope);
      setPlace(state, unit, flow, 'parked');
      continue;
    }
    leaveSite(state, unit);
    flow.deficit -= Math.min(units.recipients(unit), pool.options.startRecipients);
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

function findSuspended({ suspensions }: State, site: Site, nowMs: number): void {
  site.suspended = scopesOf(site).some((scope) => suspensions.has(scope));
  arm(site, nowMs);
}

function rename(state: State, site: Site, { title, nowMs }: { readonly title: string; readonly nowMs: number }): void {
  site.title = title;
  findSuspended(state, site, nowMs);
}

function suspend(state: State, scope: string, nowMs: number): void {
  state.suspensions.add(scope);
  if (scope.startsWith('site:')) for (const site of state.sites.values()) findSuspended(state, site, nowMs);
}

function resume(state: State, scope: string, nowMs: number): void {
  for (const unit of state.suspensions.end(scope)) makeReady(state, unit, nowMs);
  if (scope.startsWith('site:')) for (const site of state.sites.values()) findSuspended(state, site, nowMs);
}

function find({ units }: State, unit: number): Whereabouts | undefined {
  const flow = units.flow(unit);
  const place = units.place(unit);
  if (flow === undefined || place === 'none') return undefined;
  return { place, site: flow.site, dueAtMs: units.dueAtMs(unit), waitsForSite: units.waitsForSite(unit) };
}

function gateOf({ units, suspensions }: State, unit: number, nowMs: number): Gate {
  const site = units.flow(unit)?.site;
  if (site === undefined) return { gate: 'none', untilMs: 0, scope: '' };
  const scope = suspensions.scopeOf(unit) ?? scopesOf(site).find((name) => suspensions.has(name));
  if (scope !== undefined) return { gate: 'suspended', untilMs: 0, scope };
  const dueAtMs = units.dueAtMs(unit);
  if (units.place(unit) === 'due' && dueAtMs > nowMs) return { gate: 'due', untilMs: dueAtMs, scope: '' };
  if (site.closedUntilMs > nowMs || site.state === 'dead') return { gate: 'site', untilMs: site.closedUntilMs, scope: '' };
  if (site.shutUntilMs > nowMs) return { gate: 'quota', untilMs: Number.isFinite(site.shutUntilMs) ? site.shutUntilMs : 0, scope: '' };
  if (!hasRoom(site, nowMs) || site.pool.active >= site.pool.options.limit) return { gate: 'limit', untilMs: 0, scope: '' };
  return { gate: 'none', untilMs: 0, scope: '' };
}
