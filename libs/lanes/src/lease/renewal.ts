import type { LeaseRenewal } from '@angarium/records';
import { isFull } from './hearing.ts';
import { append, type Holding, type Membership, nextWriter, toLeasedLane } from './state.ts';
import { elapsedMs, type Instant } from './terms.ts';

const MOST_SENT = 100;

/** Remembers the moment before a record is sent: a lease counts from it. */
export function noteSent(state: Membership, now: Instant): void {
  state.sent.set(state.sequence, now);
  if (state.sent.size > MOST_SENT) for (const oldest of state.sent.keys()) return void state.sent.delete(oldest);
}

/** Lanes that work: one that its owner cannot read or write is left out, so that others take it. */
const isListed = (state: Membership, { phase, aliveAtMs }: Holding, { monotonicMs }: Instant): boolean =>
  phase !== 'releasing' && monotonicMs - aliveAtMs <= state.options.terms.lifeMs;

function renewalOf(state: Membership, now: Instant): LeaseRenewal {
  const lanes = [...state.holdings.values()].filter((holding) => isListed(state, holding, now)).map(toLeasedLane);
  return {
    writer: nextWriter(state),
    lanes,
    leaving: state.leaving,
    full: isFull(state, now),
    laneCount: state.laneCount,
    laneTableVersion: state.laneTableVersion,
    address: state.options.address,
  };
}

/** One renewal at a time; one that has no answer for long is no longer waited for. */
export function renewWhenDue(state: Membership, now: Instant): void {
  const { renewMs, resendMs } = state.options.terms;
  const isUnderWay = state.renewal !== undefined && now.monotonicMs - state.renewal.sentAtMs < resendMs;
  if (!state.fold.isBased || isUnderWay || now.monotonicMs - state.renewedAtMs < renewMs) return;
  const value = renewalOf(state, now);
  noteSent(state, now);
  state.renewal = { id: append(state, [{ $case: 'leaseRenewal', value }]), sentAtMs: now.monotonicMs };
  state.renewedAtMs = now.monotonicMs;
}

/** The fold says that the lane is ours, in this record: the lease runs from before the record was sent. */
export function extendLease(state: Membership, lane: number, sequence: number): void {
  const holding = state.holdings.get(lane);
  const sentAt = state.sent.get(sequence);
  if (holding !== undefined && sentAt !== undefined && sentAt.monotonicMs >= holding.leasedAt.monotonicMs) holding.leasedAt = sentAt;
}

export const isLeased = (state: Membership, { leasedAt }: Holding, now: Instant): boolean =>
  elapsedMs(leasedAt, now) < state.options.terms.leaseMs;
