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
function listed(state: Membership, now: Instant): Holding[] {
  for (const holding of state.holdings.values()) holding.failing = now.monotonicMs - holding.aliveAtMs > state.options.terms.lifeMs;
  return [...state.holdings.values()].filter(({ phase, failing }) => phase !== 'releasing' && !failing);
}

function renewalOf(state: Membership, now: Instant): LeaseRenewal {
  return {
    writer: nextWriter(state),
    lanes: listed(state, now).map(toLeasedLane),
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
  state.renewalSequence = state.sequence;
}

/** An own renewal has come back and kept the lane: the lease runs from before the renewal was sent. */
export function extendLease(state: Membership, lane: number, sequence: number): void {
  const holding = state.holdings.get(lane);
  const sentAt = state.sent.get(sequence);
  if (holding === undefined) return;
  holding.published = Math.max(holding.published, state.fold.lanes.get(lane)?.watermark ?? 0);
  if (sentAt !== undefined && sentAt.monotonicMs >= holding.leasedAt.monotonicMs) holding.leasedAt = sentAt;
}

/** Of a lane, or of the process. */
export const isLeased = (state: Membership, { leasedAt }: { readonly leasedAt: Instant }, now: Instant): boolean =>
  elapsedMs(leasedAt, now) < state.options.terms.leaseMs;
