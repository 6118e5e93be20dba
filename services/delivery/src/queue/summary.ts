import type { SiteSummary, SummaryResponse } from '@angarium/rpc';
import type { Core } from '../core.ts';
import { RESOLVE_SITE } from '../sites.ts';
import type { DeliveryUnit } from '../unit.ts';
import { type Selected, select } from './selection.ts';
import { STATES, type StateName } from './view.ts';

export interface Census {
  readonly byState: Readonly<Record<StateName, number>>;
  readonly oldestAcceptedAtMs: number;
  /** Of what is ready: since when; 0: nothing is. */
  readonly oldestReadyMs: number;
}

const readySince = ({ recipient }: Selected): number => Math.max(recipient.dueAtMs, recipient.message.enqueuedAtMs);

/** Counts all recipients. Looks at each: for orders and once in a while, not for every record. */
export function takeCensus(core: Core): Census {
  const byState = Object.fromEntries(STATES.map((state) => [state, 0])) as Record<StateName, number>;
  let oldestAcceptedAtMs = Number.POSITIVE_INFINITY;
  let oldestReadyMs = Number.POSITIVE_INFINITY;
  for (const selected of select(core, undefined)) {
    byState[selected.standing.state]++;
    oldestAcceptedAtMs = Math.min(oldestAcceptedAtMs, selected.recipient.message.envelope.acceptedAtMs);
    if (selected.standing.state === 'ready') oldestReadyMs = Math.min(oldestReadyMs, readySince(selected));
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
  const live = Object.values(byState).reduce((sum, count) => sum + count, 0);
  const { ready, active, notifying } = byState;
  const deferred = byState.deferred + byState.suspended;
  return { live, ready, deferred, active, notifying, oldestAcceptedAtMs, sites: siteSummaries(core) };
}
