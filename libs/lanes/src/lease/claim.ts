import type { LeasedLane } from '@angarium/records';
import type { Inheritance } from './action.ts';
import { hasCadence, isFree, sharersOf } from './hearing.ts';
import { noteSent } from './renewal.ts';
import { heirsOf, shareOf } from './share.ts';
import { append, type Membership, nextWriter, toLeasedLane } from './state.ts';
import type { Instant } from './terms.ts';

/** So that a claim stays far below the largest record. */
const LANES_PER_CLAIM = 1_000;

/** Free lanes, each with the moment at which it was first seen to be. */
function freeLanes(state: Membership, now: Instant): number[] {
  const free: number[] = [];
  for (let lane = 0; lane < state.laneCount; lane++) {
    if (!isFree(state, lane, now)) {
      state.freeSinceMs.delete(lane);
      continue;
    }
    if (!state.freeSinceMs.has(lane)) state.freeSinceMs.set(lane, now.monotonicMs);
    free.push(lane);
  }
  return free;
}

function inheritanceOf(state: Membership, lane: number): Inheritance {
  const lease = state.fold.lanes.get(lane);
  if (lease === undefined) return 'new';
  return lease.owner === undefined ? 'released' : 'silent';
}

function recipientsHere(state: Membership): number {
  let recipients = 0;
  for (const holding of state.holdings.values()) recipients += holding.recipients;
  for (const pending of state.claims.values()) recipients += pending.recipients;
  return recipients;
}

/** Whether the lane fits; if not, others are told for a while that this member is full. */
function hasRoomFor(state: Membership, lane: number, now: Instant): boolean {
  const recipients = state.fold.lanes.get(lane)?.recipients ?? 0;
  if (recipientsHere(state) + recipients <= state.options.recipientBudget) return true;
  state.fullUntilMs = now.monotonicMs + state.options.terms.backOffMs;
  state.backOffMs.set(lane, state.fullUntilMs);
  state.actions.push({ do: 'refuse', lane, recipients });
  return false;
}

/** Lanes whose turn to be claimed by this member has come, by `heirsOf`. */
function dueLanes(state: Membership, free: readonly number[], now: Instant): number[] {
  const { sharers, laneCount } = sharersOf(state, now);
  const lanes = free.map((lane) => ({ lane, released: inheritanceOf(state, lane) === 'released' }));
  const heirs = heirsOf(lanes, sharers, shareOf(laneCount, sharers));
  return free.filter((lane) => {
    const owner = state.fold.lanes.get(lane)?.owner;
    const turn = (heirs.get(lane) ?? [])
      .filter(({ incarnation }) => incarnation !== owner)
      .findIndex(({ incarnation }) => incarnation === state.options.incarnation);
    const waitedMs = now.monotonicMs - (state.freeSinceMs.get(lane) ?? now.monotonicMs);
    return turn >= 0 && waitedMs >= turn * state.options.terms.turnMs;
  });
}

/** Claims the free lanes that are this member's to take. Returns how many are free. */
export function claimFree(state: Membership, now: Instant): number {
  const free = freeLanes(state, now);
  if (free.length === 0 || state.leaving || !hasCadence(state, now)) return free.length;
  const { resendMs } = state.options.terms;
  const lanes: LeasedLane[] = [];
  for (const [lane, { sentAtMs }] of state.claims) if (now.monotonicMs - sentAtMs >= resendMs) state.claims.delete(lane);
  for (const lane of dueLanes(state, free, now)) {
    if (state.claims.has(lane) || (state.backOffMs.get(lane) ?? 0) > now.monotonicMs) continue;
    if (lanes.length === LANES_PER_CLAIM) break;
    if (!hasRoomFor(state, lane, now)) continue;
    const lease = state.fold.lanes.get(lane);
    const recipients = lease?.recipients ?? 0;
    const epoch = (lease?.epoch ?? 0) + 1;
    state.claims.set(lane, { epoch, sentAtMs: now.monotonicMs, recipients, inherited: inheritanceOf(state, lane) });
    lanes.push({ lane, epoch, watermark: lease?.watermark ?? 0, recipients });
  }
  if (lanes.length > 0) sendClaim(state, lanes, now);
  return free.length;
}

/** Claims lanes that this process owns once more, until that is read back. */
export function sendRaises(state: Membership, now: Instant): void {
  const lanes: LeasedLane[] = [];
  for (const holding of state.holdings.values()) {
    if (holding.phase !== 'raising' || now.monotonicMs - holding.askedAtMs < state.options.terms.resendMs) continue;
    holding.askedAtMs = now.monotonicMs;
    lanes.push({ ...toLeasedLane(holding), epoch: holding.raisedTo });
  }
  if (lanes.length > 0) sendClaim(state, lanes, now);
}

function sendClaim(state: Membership, lanes: LeasedLane[], now: Instant): void {
  const writer = nextWriter(state);
  noteSent(state, now);
  append(state, [{ $case: 'leaseClaim', value: { writer, lanes } }]);
}
