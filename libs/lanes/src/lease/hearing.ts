import type { LeaseEvent, LeaseRecord } from './lease.ts';
import type { Sharer } from './share.ts';
import type { Membership } from './state.ts';
import type { Instant } from './terms.ts';

/** The state was taken from a snapshot: everybody in it was heard just now. */
export function hearBase(state: Membership, { monotonicMs }: Instant): void {
  state.basedAtMs = monotonicMs;
  state.changedAtMs = monotonicMs;
  state.snapshotHeardMs = monotonicMs;
  for (const incarnation of state.fold.members.keys()) state.memberHeardMs.set(incarnation, monotonicMs);
}

/** Notes who was heard, and whether the company changed by it. */
export function hear(
  state: Membership,
  event: LeaseEvent & { readonly is: 'renewed' | 'claimed' | 'released' },
  { monotonicMs }: Instant,
): void {
  for (const lane of event.lanes) state.laneHeardMs.set(lane, monotonicMs);
  const { incarnation } = event.writer;
  const appendedAtMs = state.fold.members.get(incarnation)?.appendedAtMs ?? 0;
  // One that writes and does not read could not take a lane: it counts as quiet.
  if (event.is !== 'renewed' || appendedAtMs - event.writer.seenAtMs > state.options.terms.cadenceMs) return;
  const heardMs = state.memberHeardMs.get(incarnation) ?? Number.NEGATIVE_INFINITY;
  state.memberHeardMs.set(incarnation, monotonicMs);
  if (monotonicMs - heardMs <= state.options.terms.cadenceMs) return;
  state.memberSinceMs.set(incarnation, monotonicMs);
  change(state, monotonicMs);
}

/** Somebody came, left, or is back after a silence. */
function change(state: Membership, nowMs: number): void {
  state.changedAtMs = nowMs;
  state.keepUntilMs.clear();
}

/** An own renewal came back: the log can be written and read. A gap restarts the clocks of all silence. */
export function hearOwn(state: Membership, { monotonicMs }: Instant): void {
  if (monotonicMs - state.cameBackAtMs > state.options.terms.cadenceMs) state.cadenceSinceMs = monotonicMs;
  state.cameBackAtMs = monotonicMs;
}

/** Own renewals come back, so that the silence of others says something about them. */
export const hasCadence = (state: Membership, { monotonicMs }: Instant): boolean =>
  monotonicMs - state.cameBackAtMs <= state.options.terms.cadenceMs;

const silenceMs = (state: Membership, heardMs: number | undefined, { monotonicMs }: Instant): number =>
  monotonicMs - Math.max(heardMs ?? state.basedAtMs, state.cadenceSinceMs);

export const isOwn = (state: Membership, record: LeaseRecord): boolean =>
  'writer' in record.kind.value && record.kind.value.writer?.incarnation === state.options.incarnation;

/** The owner left, or was silent for long enough, or never was. */
export function isFree(state: Membership, lane: number, now: Instant): boolean {
  const { fold, options, holdings, laneHeardMs } = state;
  const lease = fold.lanes.get(lane);
  if (holdings.has(lane) || lease?.owner === options.incarnation) return false;
  if (lease !== undefined && lease.owner === undefined) return true;
  return options.isAlone || silenceMs(state, laneHeardMs.get(lane), now) >= options.terms.waitMs;
}

/** By receipt, or by the log's own time for who fell silent before this process began to read. */
function isSilent(state: Membership, incarnation: string, heardMs: number, now: Instant): boolean {
  const { fold, options } = state;
  const member = fold.members.get(incarnation);
  if (member === undefined || options.isAlone) return true;
  return silenceMs(state, heardMs, now) >= options.terms.waitMs || fold.seenAtMs - member.appendedAtMs >= options.terms.waitMs;
}

/** Forgets members that fell silent: they take no lanes. What they own is free only by `isFree`. */
export function forgetSilent(state: Membership, now: Instant): void {
  for (const [incarnation, heardMs] of state.memberHeardMs) {
    if (incarnation === state.options.incarnation || !isSilent(state, incarnation, heardMs, now)) continue;
    state.memberHeardMs.delete(incarnation);
    state.memberSinceMs.delete(incarnation);
    change(state, now.monotonicMs);
  }
}

export const isFull = (state: Membership, { monotonicMs }: Instant): boolean => monotonicMs < state.fullUntilMs;

/**
 * Live members with what they own of the lanes that all of them know, and the number of these lanes: while the lane table
 * differs between workers, only those are shared out evenly.
 */
export function sharersOf(
  state: Membership,
  { monotonicMs }: Instant,
): { readonly sharers: readonly Sharer[]; readonly laneCount: number } {
  const { terms } = state.options;
  const members = [...state.memberHeardMs.keys()].flatMap((incarnation) => state.fold.members.get(incarnation) ?? []);
  const laneCount = Math.min(
    state.laneCount,
    ...members.flatMap((member) => (member.leaving || member.laneCount === 0 ? [] : [member.laneCount])),
  );
  const owned = new Map<string, number>();
  for (const { lane, owner } of state.fold.lanes.values())
    if (owner !== undefined && lane < laneCount) owned.set(owner, (owned.get(owner) ?? 0) + 1);
  const sharers = members.map((member) => ({
    incarnation: member.incarnation,
    worker: member.worker,
    leaving: member.leaving,
    closed: member.leaving || member.full || member.laneCount === 0,
    young: monotonicMs - (state.memberSinceMs.get(member.incarnation) ?? Number.NEGATIVE_INFINITY) < terms.waitMs,
    quiet: monotonicMs - (state.memberHeardMs.get(member.incarnation) ?? monotonicMs) > terms.cadenceMs,
    laneCount: member.laneCount,
    owned: owned.get(member.incarnation) ?? 0,
  }));
  return { sharers, laneCount };
}
