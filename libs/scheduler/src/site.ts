import type { Flow, Ring } from './flow.ts';
import type { Heap } from './heap.ts';
import { nextAttempt } from './retry.ts';

/** Limits that sites of one kind share. */
export interface PoolOptions {
  /** Starts at once over all its sites. */
  readonly limit: number;
  /** Of these, kept for sites with none active: many slow sites cannot keep all others out. */
  readonly reserve: number;
  /** Starts at once at a site that is not known yet, and at most. */
  readonly siteInitial: number;
  readonly siteLimit: number;
  /** Pauses between probes of a dead site, and of one that asks to come more slowly than one at a time; the last repeats. */
  readonly probeMs: readonly number[];
  readonly throttleMs: readonly number[];
  /** Largest share of a site's starts for one tenant; 1: all. */
  readonly tenantShare: number;
  /** Recipients that one start carries at most: what it costs its tenant's turn. */
  readonly startRecipients: number;
}

/** Sites that share a limit, those with something to start queued in turn. */
export interface Pool {
  readonly options: PoolOptions;
  active: number;
  /** Sites that may start something, first in, first out: with nothing active, and with something active. */
  readonly fresh: Set<Site>;
  readonly busy: Set<Site>;
  /** Sites with ready units whose clock says: not yet. */
  readonly closed: Heap<Site>;
}

/** What a start told about its site; `unknown`: nothing, the trouble was ours. */
export type Verdict = 'reached' | 'throttled' | 'failed' | 'unknown';

/** Where mail goes, with its state. Changed by this file and the scheduler alone. */
export interface Site {
  readonly key: string;
  title: string;
  readonly pool: Pool;
  state: 'open' | 'throttled' | 'dead';
  /** Starts at once, a fraction included: it grows by 1/window with each success. */
  window: number;
  /** Share of a cohort that failed since the last success; at 1 the site is dead. */
  failedCohort: number;
  /** Nothing starts before; then, at a dead site, one probe. */
  closedUntilMs: number;
  /** Nor before this: by the caller's gate. */
  shutUntilMs: number;
  pauses: number;
  probing: boolean;
  cutAtMs: number;
  active: number;
  /** Every unit that is held for it. */
  readonly units: number[];
  /** Those that are deferred since it failed and not due. */
  readonly waiting: Set<number>;
  ready: number;
  /** Of its units, by their place. */
  readonly recipients: { due: number; ready: number; parked: number };
  readonly flows: Map<string, Flow>;
  readonly ring: Ring<Flow>;
  suspended: boolean;
  /** Place among the closed sites. */
  at: number;
}

export interface Ticket {
  readonly site: Site;
  readonly flow: Flow;
  readonly startedAtMs: number;
  readonly isProbe: boolean;
  open: boolean;
}

/** As many starts as a window allows: at least one. */
const width = (site: Site): number => Math.max(1, Math.floor(site.window));

export const opensAtMs = ({ closedUntilMs, shutUntilMs }: Site): number => Math.max(closedUntilMs, shutUntilMs);

/** Whether one more may start, its clocks and its window permitting. */
export function hasRoom(site: Site, nowMs: number): boolean {
  if (site.suspended || opensAtMs(site) > nowMs) return false;
  return site.state === 'dead' ? !site.probing : site.active < width(site);
}

interface Moment {
  readonly nowMs: number;
  readonly random: () => number;
  readonly options: PoolOptions;
}

const JITTER = 0.1;

function close(site: Site, pausesMs: readonly number[], { nowMs, random }: Moment): void {
  site.pauses++;
  site.closedUntilMs = nextAttempt({ retryMs: pausesMs, jitter: JITTER }, { attempts: site.pauses, nowMs, random });
}

function reached(site: Site, { options }: Moment): void {
  const isUsedUp = site.ready > 0 || site.active >= width(site);
  site.failedCohort = 0;
  site.closedUntilMs = site.state === 'dead' ? 0 : site.closedUntilMs;
  if (site.state === 'dead') site.window = options.siteInitial;
  // A window that is not used up proves nothing about a larger one.
  else if (isUsedUp) site.window = Math.min(options.siteLimit, site.window + 1 / site.window);
  if (site.state === 'throttled' && site.window < Math.min(options.siteInitial, options.siteLimit)) return;
  site.state = 'open';
  site.pauses = 0;
}

function throttled(site: Site, ticket: Ticket, moment: Moment): void {
  site.failedCohort = 0;
  // One cut per round: replies to what started before the last cut say nothing about the window since.
  if (ticket.startedAtMs < site.cutAtMs && site.state !== 'dead') return;
  const wasNarrow = site.state === 'dead' || site.window < 2;
  site.window = site.state === 'dead' ? 1 : Math.max(1, site.window / 2);
  site.cutAtMs = moment.nowMs;
  if (site.state !== 'throttled') site.pauses = 0;
  site.state = 'throttled';
  if (wasNarrow) close(site, moment.options.throttleMs, moment);
}

function failed(site: Site, ticket: Ticket, moment: Moment): void {
  if (site.state === 'dead') {
    if (ticket.isProbe) close(site, moment.options.probeMs, moment);
    return;
  }
  site.failedCohort += 1 / width(site);
  site.window = Math.max(1, site.window - 1 / site.window);
  if (site.failedCohort < 1 - 1e-9) return;
  site.state = 'dead';
  site.pauses = 0;
  close(site, moment.options.probeMs, moment);
}

/**
 * Moves a site's state by what one start told. Window: +1/window with each success while more waits, -1/window with each
 * failure, halved by throttling; dead after a cohort of failures with no success between.
 */
export function conclude(site: Site, ticket: Ticket, { verdict, ...moment }: Moment & { readonly verdict: Verdict }): void {
  if (ticket.isProbe) site.probing = false;
  if (verdict === 'reached') reached(site, moment);
  else if (verdict === 'throttled') throttled(site, ticket, moment);
  else if (verdict === 'failed') failed(site, ticket, moment);
  else if (ticket.isProbe && site.state === 'dead') {
    site.pauses = Math.max(0, site.pauses - 1);
    close(site, moment.options.probeMs, moment);
  }
}
