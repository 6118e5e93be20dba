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
  let oldestReadyMs = Number.POSITIVE_INFINITY;
  for (const { recipients, flows, suspended, state, closedUntilMs } of sites) {
    counts.deferred += recipients.due;
    counts.suspended += recipients.parked;
    const isClosed = state === 'dead' || closedUntilMs > nowMs;
    counts[suspended || isSuspended ? 'suspended' : isClosed ? 'deferred' : 'ready'] += recipients.ready;
    if (suspended || isSuspended || isClosed) continue;
    for (const { ready } of flows.values())
      for (const unit of ready.members()) oldestReadyMs = Math.min(oldestReadyMs, Math.max(units.dueAtMs(unit), units.ageMs(unit)));
  }
  return { ...counts, oldestReadyMs: Number.isFinite(oldestReadyMs) ? oldestReadyMs : 0 };
}
