import type { SiteSummary, SummaryResponse } from '@angarium/rpc';
import type { Core } from '../core.ts';
import { RESOLVE_SITE } from '../sites.ts';
import type { StateName } from './view.ts';

export interface Census {
  readonly byState: Readonly<Record<StateName, number>>;
  /** Of what is ready: since when; 0: nothing is. */
  readonly oldestReadyMs: number;
}

/** Counts recipients by where their units are. Cost: one look at each site and at each unit. */
export function takeCensus({ lanes, flights, scheduler, deps }: Core): Census {
  const { ready, deferred, suspended, oldestReadyMs } = scheduler.census(deps.clock.nowMs());
  const notifying = lanes.reduce((sum, { fold }) => sum + fold.liveRecipients - fold.waitingRecipients, 0);
  return { byState: { ready, deferred, suspended, active: flights.size, notifying }, oldestReadyMs };
}

const MAX_SITES = 1000;

function siteSummaries(core: Core): SiteSummary[] {
  const sites: SiteSummary[] = [];
  for (const site of core.scheduler.sites()) {
    if (site.key === RESOLVE_SITE) continue;
    const { due, ready, parked } = site.recipients;
    const recipients = due + ready + parked;
    const state = site.suspended ? 'suspended' : site.state;
    const lastReply = core.lastReplies.get(site.key) ?? '';
    sites.push({ site: site.key, state, recipients, connections: site.active, openAtMs: site.closedUntilMs, lastReply });
  }
  return sites.sort((a, b) => b.recipients - a.recipients).slice(0, MAX_SITES);
}

/** At most 1,000 sites, those with the most recipients. */
export function summarize(core: Core): Omit<SummaryResponse, 'recoveringLanes'> {
  const { byState } = takeCensus(core);
  const oldestMs = core.scheduler.oldestMs();
  const oldestAcceptedAtMs = Number.isFinite(oldestMs) ? oldestMs : 0;
  const live = core.lanes.reduce((sum, { fold }) => sum + fold.liveRecipients, 0);
  const { ready, active, notifying } = byState;
  const deferred = byState.deferred + byState.suspended;
  return { live, ready, deferred, active, notifying, oldestAcceptedAtMs, sites: siteSummaries(core) };
}
