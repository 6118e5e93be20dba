import type { SiteSummary, SummaryResponse } from '@angarium/rpc';
import type { Core } from '../core.ts';
import { RESOLVE_SITE } from '../sites.ts';
import type { DeliveryUnit } from '../unit.ts';
import type { StateName } from './view.ts';

export interface Census {
  readonly byState: Readonly<Record<StateName, number>>;
  /** Of what waits and is not on its way; 0: nothing does. */
  readonly oldestAcceptedAtMs: number;
  /** Of what is ready: since when; 0: nothing is. */
  readonly oldestReadyMs: number;
}

/** The state of all ready units of a site, that of the first. */
function readyState(core: Core, unit: DeliveryUnit, nowMs: number): StateName {
  const { gate } = core.scheduler.gate(unit, nowMs);
  return gate === 'suspended' ? 'suspended' : gate === 'site' ? 'deferred' : 'ready';
}

/** Counts recipients by where their units are: one look at each unit. */
export function takeCensus(core: Core): Census {
  const byState: Record<StateName, number> = { ready: 0, deferred: 0, suspended: 0, active: core.flights.size, notifying: 0 };
  for (const { fold } of core.lanes) byState.notifying += fold.liveRecipients - fold.waitingRecipients;
  const nowMs = core.deps.clock.nowMs();
  let oldestAcceptedAtMs = Number.POSITIVE_INFINITY;
  let oldestReadyMs = Number.POSITIVE_INFINITY;
  for (const { units } of core.scheduler.sites()) {
    let ready: StateName | undefined;
    for (const unit of units as readonly DeliveryUnit[]) {
      if (unit.place === 'ready') ready ??= readyState(core, unit, nowMs);
      const state = unit.place === 'ready' ? (ready ?? 'ready') : unit.place === 'parked' ? 'suspended' : 'deferred';
      byState[state] += unit.recipients.length;
      oldestAcceptedAtMs = Math.min(oldestAcceptedAtMs, unit.message.envelope.acceptedAtMs);
      if (state === 'ready') oldestReadyMs = Math.min(oldestReadyMs, Math.max(unit.dueAtMs, unit.message.enqueuedAtMs));
    }
  }
  const finite = (ms: number) => (Number.isFinite(ms) ? ms : 0);
  return { byState, oldestAcceptedAtMs: finite(oldestAcceptedAtMs), oldestReadyMs: finite(oldestReadyMs) };
}

const MAX_SITES = 1000;

function siteSummaries(core: Core): SiteSummary[] {
  const sites: SiteSummary[] = [];
  for (const site of core.scheduler.sites()) {
    if (site.key === RESOLVE_SITE) continue;
    const recipients = (site.units as readonly DeliveryUnit[]).reduce((sum, unit) => sum + unit.recipients.length, 0);
    const state = site.suspended ? 'suspended' : site.state;
    const lastReply = core.lastReplies.get(site.key) ?? '';
    sites.push({ site: site.key, state, recipients, connections: site.active, openAtMs: site.closedUntilMs, lastReply });
  }
  return sites.sort((a, b) => b.recipients - a.recipients).slice(0, MAX_SITES);
}

/** At most 1,000 sites, those with the most recipients. */
export function summarize(core: Core): SummaryResponse {
  const { byState, oldestAcceptedAtMs } = takeCensus(core);
  const live = core.lanes.reduce((sum, { fold }) => sum + fold.liveRecipients, 0);
  const { ready, active, notifying } = byState;
  const deferred = byState.deferred + byState.suspended;
  return { live, ready, deferred, active, notifying, oldestAcceptedAtMs, sites: siteSummaries(core) };
}
