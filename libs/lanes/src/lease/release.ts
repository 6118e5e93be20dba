import type { LeasedLane } from '@angarium/records';
import { hasCadence, sharersOf } from './hearing.ts';
import { byPreference, type Sharer, shareOf, surplusOf } from './share.ts';
import { append, type Holding, hold, type Membership, nextWriter, toLeasedLane } from './state.ts';
import type { Instant } from './terms.ts';

export function drain(state: Membership, holding: Holding): void {
  if (holding.phase !== 'held') return;
  holding.phase = 'draining';
  state.actions.push({ do: 'drain', lane: holding.lane, epoch: holding.epoch });
}

/** Lanes that the log gives to this process though it holds them no more: from before its reader started anew. */
function adoptStrays(state: Membership, now: Instant): void {
  for (const lease of state.fold.lanes.values())
    if (lease.owner === state.options.incarnation && !state.holdings.has(lease.lane))
      hold(state, lease, { phase: 'releasing', inherited: 'silent', leasedAt: now, now });
}

/** Sends the releases that are due, all in one record. A release is never taken back: a copy of it may come at any time. */
export function sendReleases(state: Membership, now: Instant): void {
  adoptStrays(state, now);
  const lanes: LeasedLane[] = [];
  for (const holding of state.holdings.values()) {
    if (holding.phase !== 'releasing' || now.monotonicMs - holding.askedAtMs < state.options.terms.resendMs) continue;
    holding.askedAtMs = now.monotonicMs;
    lanes.push(toLeasedLane(holding));
  }
  if (lanes.length > 0) append(state, [{ $case: 'leaseRelease', value: { writer: nextWriter(state), lanes } }]);
}

/** Lanes that could be given away, those first that a member with room prefers to this one. */
function giveable(state: Membership, takers: readonly Sharer[], now: Instant): Holding[] {
  const me = state.options.incarnation;
  const rank = ({ lane }: Holding): number => [...takers].sort(byPreference(lane)).findIndex(({ incarnation }) => incarnation === me);
  return [...state.holdings.values()]
    .filter(({ lane, phase }) => phase === 'held' && (state.keepUntilMs.get(lane) ?? 0) <= now.monotonicMs)
    .filter(({ lane }) => takers.some(({ incarnation, laneCount }) => incarnation !== me && laneCount > lane))
    .map((holding) => ({ holding, rank: rank(holding) }))
    .sort((one, other) => other.rank - one.rank || one.holding.lane - other.holding.lane)
    .map(({ holding }) => holding);
}

/** Drains what is above this member's share, once the company has settled: nobody came, left or fell quiet. */
export function drainSurplus(state: Membership, free: number, now: Instant): void {
  const { terms, drainsAtOnce, incarnation } = state.options;
  if (state.leaving || !hasCadence(state, now) || now.monotonicMs - state.changedAtMs < terms.settleMs) return;
  const { sharers, laneCount } = sharersOf(state, now);
  if (sharers.some(({ quiet }) => quiet)) return;
  const share = shareOf(laneCount, sharers);
  const going = [...state.holdings.values()].filter(({ phase }) => phase === 'draining' || phase === 'releasing').length;
  const surplus = Math.min(surplusOf(incarnation, sharers, { share, free }), drainsAtOnce) - going;
  if (surplus <= 0) return;
  const takers = sharers.filter((sharer) => sharer.incarnation === incarnation || (!sharer.closed && sharer.owned < share.most));
  for (const holding of giveable(state, takers, now).slice(0, surplus)) drain(state, holding);
}
