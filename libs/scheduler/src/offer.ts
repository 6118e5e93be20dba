import type { PoolOptions, Site, Ticket } from './site.ts';
import type { Place } from './unit.ts';

export interface SchedulerOptions<PoolName extends string> {
  readonly pools: Readonly<Record<PoolName, PoolOptions>>;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Sites without units whose state is remembered. */
  readonly maxIdleSites: number;
  /** Domain of a unit that is held; asked only while a domain is suspended. */
  readonly domainOf: (unit: number) => string;
  /**
   * Before each start: the instant from which the caller lets one more start at the site. Not later than now: it starts; infinite:
   * not before `reopen`. Left out: always.
   */
  readonly gateOf?: (site: string, nowMs: number) => number;
}

/** What is to be known of a unit: recipients of one message that may go together. */
export interface Offer<PoolName extends string> {
  readonly pool: PoolName;
  readonly site: string;
  /** For the queue tools. */
  readonly title: string;
  readonly tenant: string;
  /** Larger goes first within a tenant. */
  readonly priority: number;
  /** Smaller goes first within a tenant and priority: instant of arrival, or of the last turn of a unit that needs several. */
  readonly ageMs: number;
  /** At least 1. */
  readonly recipients: number;
  /** Not before; 0: at once. */
  readonly dueAtMs: number;
  /** Deferred since the site failed: due, too, as soon as the site is reached. */
  readonly waitsForSite: boolean;
}

export interface Start {
  /** Held no more. */
  readonly unit: number;
  /** Room at the site that is taken until `finished`. */
  readonly ticket: Ticket;
}

/** What keeps a held unit from starting; `none`: nothing but its turn. `untilMs` 0: not known. */
export interface Gate {
  readonly gate: 'due' | 'site' | 'limit' | 'quota' | 'suspended' | 'none';
  readonly untilMs: number;
  /** Scope of the suspension. */
  readonly scope: string;
}

/** Where a held unit is. */
export interface Whereabouts {
  readonly place: Exclude<Place, 'none'>;
  readonly site: SiteView;
  readonly dueAtMs: number;
  readonly waitsForSite: boolean;
}

export type SiteView = Pick<
  Site,
  'key' | 'title' | 'state' | 'active' | 'closedUntilMs' | 'suspended' | 'window' | 'ready' | 'recipients'
> & {
  readonly units: readonly number[];
};
