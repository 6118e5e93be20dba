import type { Flow } from './flow.ts';
import type { Site } from './site.ts';

/**
 * What is scheduled: recipients of one message that may go together. The first group of fields is the caller's, who may
 * change `ageMs` and `cost` while the unit is not held; the second is the scheduler's.
 */
export interface Unit {
  readonly tenant: string;
  readonly domain: string;
  /** Larger goes first within a tenant. */
  readonly priority: number;
  /** Smaller goes first within a tenant and priority: instant of arrival, or of the last turn of a unit that needs several. */
  ageMs: number;
  /** Recipients that one start carries: what the tenant's turn pays. At least 1. */
  cost: number;

  place: 'none' | 'due' | 'ready' | 'parked';
  dueAtMs: number;
  /** Deferred since its site failed: due as soon as the site is reached again. */
  waitsForSite: boolean;
  at: number;
  sequence: number;
  site: Site | undefined;
  siteAt: number;
  flow: Flow | undefined;
  scope: string;
}

/** The scheduler's fields of a unit that was never offered. */
export const NEW_UNIT = {
  place: 'none',
  dueAtMs: 0,
  waitsForSite: false,
  at: -1,
  sequence: 0,
  site: undefined,
  siteAt: -1,
  flow: undefined,
  scope: '',
} as const satisfies Partial<Unit>;
