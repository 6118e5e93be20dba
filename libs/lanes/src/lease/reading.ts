import type { LossReason } from './action.ts';
import { createLeaseFold } from './fold.ts';
import { hear, hearBase, hearOwn, isOwn } from './hearing.ts';
import type { LeaseEvent, LeaseRecord } from './lease.ts';
import { extendLease } from './renewal.ts';
import { hold, LONG_AGO, type Membership } from './state.ts';
import type { Instant } from './terms.ts';

const NEVER = Number.NEGATIVE_INFINITY;
const MOST_STALE = 100;

function loseAll(state: Membership, reason: LossReason): void {
  for (const { lane, epoch, phase } of state.holdings.values())
    if (phase !== 'releasing') state.actions.push({ do: 'lose', lane, epoch, reason });
  state.holdings.clear();
  state.claims.clear();
}

/** This process may be wrong about everything. */
export function halt(state: Membership, reason: string): void {
  if (state.mode === 'halted') return;
  loseAll(state, 'halted');
  state.mode = 'halted';
  state.actions.push({ do: 'halt', reason });
}

export function reread(state: Membership): void {
  loseAll(state, 'log lost');
  state.mode = 'rereading';
  state.actions.push({ do: 'reread' });
}

/** Everything that was known is forgotten: the log may be another one. */
export function startReading(state: Membership, from: number, now: Instant): void {
  if (state.mode === 'halted') return;
  loseAll(state, 'log lost');
  state.fold = createLeaseFold(from);
  state.mode = 'reading';
  for (const heard of [state.laneHeardMs, state.memberHeardMs, state.memberSinceMs, state.freeSinceMs, state.sent]) heard.clear();
  Object.assign(state, { renewal: undefined, leasedAt: LONG_AGO, cameBackAtMs: NEVER, cadenceSinceMs: NEVER, snapshotSentMs: NEVER });
  state.ticked = now;
  askToCatchUp(state);
}

export function askToCatchUp(state: Membership): void {
  state.catchUpToken++;
  state.actions.push({ do: 'catchUp', token: state.catchUpToken });
}

function begin(state: Membership, lane: number, sequence: number, now: Instant): void {
  const lease = state.fold.lanes.get(lane);
  if (lease === undefined) return;
  const inherited = state.claims.get(lane)?.inherited ?? 'silent';
  const leasedAt = state.sent.get(sequence) ?? LONG_AGO;
  const isWanted = !state.leaving && (state.backOffMs.get(lane) ?? 0) <= now.monotonicMs;
  const holding = hold(state, lease, { phase: isWanted ? 'held' : 'releasing', inherited, leasedAt, now });
  if (state.given.delete(lane)) state.keepUntilMs.set(lane, now.monotonicMs + state.options.terms.backOffMs);
  if (isWanted) state.actions.push({ do: 'begin', lane, epoch: holding.epoch, inherited });
}

function onClaimed(state: Membership, event: LeaseEvent & { readonly is: 'claimed' }, now: Instant): void {
  const isMine = event.writer.incarnation === state.options.incarnation;
  for (const lane of event.lanes)
    if (isMine) begin(state, lane, event.writer.sequence, now);
    else lose(state, lane, now);
}

function lose(state: Membership, lane: number, now: Instant): void {
  const holding = state.holdings.get(lane);
  state.given.delete(lane);
  state.claims.delete(lane);
  if (holding === undefined) return;
  state.holdings.delete(lane);
  // It was taken because it does not work here.
  if (holding.failing) state.backOffMs.set(lane, now.monotonicMs + state.options.terms.backOffMs);
  if (holding.phase !== 'releasing') state.actions.push({ do: 'lose', lane, epoch: holding.epoch, reason: 'claimed' });
}

function onReleased(state: Membership, event: LeaseEvent & { readonly is: 'released' }): void {
  if (event.writer.incarnation !== state.options.incarnation) return;
  for (const lane of event.lanes) {
    const holding = state.holdings.get(lane);
    if (holding !== undefined) state.actions.push({ do: 'released', lane, epoch: holding.epoch });
    state.given.add(lane);
    state.holdings.delete(lane);
  }
}

/** What must be known of an own record, whatever it did. */
function onOwn(state: Membership, record: LeaseRecord, event: LeaseEvent, now: Instant): void {
  const { kind } = record;
  if (kind.$case === 'leaseClaim') for (const { lane } of kind.value.lanes) state.claims.delete(lane);
  if (kind.$case !== 'leaseRenewal') return;
  if (event.is === 'renewed') {
    hearOwn(state, now);
    state.leasedAt = state.sent.get(event.writer.sequence) ?? LONG_AGO;
    for (const lane of event.lanes) extendLease(state, lane, event.writer.sequence);
  } else if (kind.value.writer?.sequence === state.renewalSequence) state.renewedAtMs = NEVER;
}

function onSnapshot(state: Membership, incarnation: string, now: Instant): void {
  state.snapshotHeardMs = now.monotonicMs;
  if (incarnation === state.options.incarnation && state.fold.watermark > 0)
    state.actions.push({ do: 'trim', below: state.fold.watermark });
}

/** Either this topic was made anew behind our back, or the writer has not noticed that it was. The log itself tells. */
function onForeign(state: Membership, logId: string): void {
  if (state.staleLogs.has(logId)) return;
  if (state.staleLogs.size >= MOST_STALE) state.staleLogs.clear();
  state.staleLogs.add(logId).add(state.fold.logId);
  reread(state);
}

/** Applies a record, and draws the conclusions. */
export function readOne(state: Membership, record: LeaseRecord, now: Instant): void {
  const event = state.fold.apply(record);
  if (event.is === 'renewed' || event.is === 'claimed' || event.is === 'released') hear(state, event, now);
  if (event.is === 'claimed') onClaimed(state, { ...event, is: 'claimed' }, now);
  if (isOwn(state, record)) onOwn(state, record, event, now);
  if (event.is === 'released') onReleased(state, { ...event, is: 'released' });
  else if (event.is === 'based') hearBase(state, now);
  else if (event.is === 'snapshot') onSnapshot(state, event.writer.incarnation, now);
  else if (event.is === 'foreign') onForeign(state, event.logId);
  else if (event.is === 'diverged') halt(state, event.reason);
}
