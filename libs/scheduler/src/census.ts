import type { Site } from './site.ts';
import type { UnitTable } from './unit.ts';

/** Recipients of the units that are held, by what holds them back. */
export interface Census {
  /** Nothing but their turn. */
  readonly ready: number;
  /** Their time, or a site that is dead or asks for a pause. */
  readonly deferred: number;
  readonly suspended: number;
  /** Since when the unit is ready that is ready longest; 0: none is. */
  readonly oldestReadyMs: number;
}

interface Moment {
  readonly units: UnitTable;
  readonly nowMs: number;
  /** Everything is. */
  readonly isSuspended: boolean;
}

export function takeCensus(sites: Iterable<Site>, { units, nowMs, isSuspended }: Moment): Census {
  const counts = { ready: 0, deferred: 0, suspended: 0 };
  const placeOf = ({ suspended, state, closedUntilMs }: Site): keyof typeof counts => {
    if (suspended || isSuspended) return 'suspended';
    return state === 'dead' || closedUntilMs > nowMs ? 'deferred' : 'ready';
  };
  for (const site of sites) {
    counts.deferred += site.recipients.due;
    counts.suspended += site.recipients.parked;
    counts[placeOf(site)] += site.recipients.ready;
  }
  const oldestReadyMs = units.oldestReadyMs((site) => placeOf(site) === 'ready');
  return { ...counts, oldestReadyMs: Number.isFinite(oldestReadyMs) ? oldestReadyMs : 0 };
}
