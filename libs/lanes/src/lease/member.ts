import type { LeaseAction } from './action.ts';
import { claimFree, sendRaises } from './claim.ts';
import type { LeaseFold } from './fold.ts';
import { forgetSilent, hasCadence, isFree } from './hearing.ts';
import type { LeaseRecord, Member } from './lease.ts';
import { askToCatchUp, halt, readOne, reread, startReading } from './reading.ts';
import { drain, drainSurplus, sendReleases } from './release.ts';
import { isLeased, renewWhenDue } from './renewal.ts';
import { append, createMembership, type Holding, type LeaseMemberOptions, type Membership, nextWriter } from './state.ts';
import { elapsedMs, type Instant, type LeaseTerms, leaseTerms } from './terms.ts';

/** One owner's time with a lane. What is said or asked of one that is over changes nothing and is answered with no. */
export interface Reign {
  readonly lane: number;
  readonly epoch: number;
}

/** How a lane is doing, by its owner. */
export interface LaneLife {
  readonly watermark: number;
  readonly recipients: number;
}

/**
 * One worker's part in the ownership of lanes. Every input returns what must be done now, in order; `now` is read just
 * before the call. Costs O(lanes x members) a tick, nothing in between.
 */
export interface LeaseMember {
  /** A reader of `mail.lease` starts at its low mark. Before everything else, and after `reread` or a gap. */
  reading(from: number, now: Instant): readonly LeaseAction[];
  /** Records of `mail.lease`, as they come. */
  read(records: readonly LeaseRecord[], now: Instant): readonly LeaseAction[];
  /** At least every 100 ms, since a process that stood still for longer than `stallMs` must look first. */
  tick(now: Instant): readonly LeaseAction[];
  /** An append ended, well or not. */
  settled(id: number): void;
  /** Both logs were read up to the marks that they had after `catchUp`. */
  caughtUp(token: number): void;
  /**
   * The lane works: its replay went on, or it is read to the end and no write waits for its acknowledgement, or one was
   * acknowledged since the last report. At least every 10 s.
   */
  alive(reign: Reign, life: LaneLife, now: Instant): void;
  /** After `drain`: nothing more will be written for the lane but final facts. */
  drained(reign: Reign, life: LaneLife, now: Instant): readonly LeaseAction[];
  /** Gives the lane up at once: it cannot be read, or holds too many recipients. Another one may try; not this one, for a while. */
  giveUp(reign: Reign, reason: 'halted' | 'too many recipients', now: Instant): readonly LeaseAction[];
  /** Before `Owner` was written, the lane's journal knows an epoch that is not below its lease's: it begins again with one above that. */
  outdated(reign: Reign, journalEpoch: number, now: Instant): readonly LeaseAction[];
  /** A later lane table. */
  tableChanged(laneTableVersion: number, laneCount: number): void;
  /** The reader's position is not in the log any more. Then `reading`. */
  logLost(): readonly LeaseAction[];
  /** A record of `mail.lease` cannot be read by this release, or is damaged: nothing is done any more. */
  halt(reason: string): readonly LeaseAction[];
  /** Gives all lanes away; `left` when that is done. */
  stop(now: Instant): readonly LeaseAction[];
  /** No other process can have declared this one dead: asked before every grant. */
  isLeased(now: Instant): boolean;
  /** Asked before every dot, `Owner`, `Moved` and trim. */
  mayAct(reign: Reign, now: Instant): boolean;
  /** Asked before every start. */
  mayStart(reign: Reign, now: Instant): boolean;
  /** Watermark that the owner has read back in its own renewal: nothing above it may be trimmed. */
  trimmable(reign: Reign): number;
  /** Members that live, this one included once its renewals come back. */
  live(): readonly Member[];
  /** Lanes that nobody owns, as far as this process can tell. */
  free(now: Instant): readonly number[];
  readonly fold: LeaseFold;
}

/** The first snapshot of an empty log, or the next one when its time has come and those before this member wrote none. */
function snapshotWhenDue(state: Membership, now: Instant): void {
  const { snapshotMs, turnMs, resendMs } = state.options.terms;
  if (now.monotonicMs - state.snapshotSentMs < resendMs) return;
  if (state.fold.isBased) {
    const overdueMs = now.monotonicMs - state.snapshotHeardMs - snapshotMs;
    if (overdueMs < 0 || !hasCadence(state, now)) return;
    const turn = [...state.memberHeardMs.keys()].sort().indexOf(state.options.incarnation);
    if (turn < 0 || overdueMs < turn * turnMs) return;
  }
  state.snapshotSentMs = now.monotonicMs;
  append(state, [{ $case: 'leaseSnapshot', value: state.fold.snapshot(nextWriter(state)) }]);
}

/** The process stood still. What its lanes did not show meanwhile says nothing against them. */
function wakeUp(state: Membership, now: Instant): void {
  const stalledMs = Math.max(0, now.monotonicMs - state.ticked.monotonicMs);
  for (const holding of state.holdings.values()) holding.aliveAtMs += stalledMs;
  askToCatchUp(state);
}

function tick(state: Membership, now: Instant): void {
  if (state.mode !== 'reading') return;
  if (elapsedMs(state.ticked, now) > state.options.terms.stallMs) wakeUp(state, now);
  state.ticked = now;
  renewWhenDue(state, now);
  if (state.caughtUpToken !== state.catchUpToken) return;
  snapshotWhenDue(state, now);
  if (!state.fold.isBased) return;
  forgetSilent(state, now);
  sendReleases(state, now);
  sendRaises(state, now);
  if (state.leaving) leave(state);
  else share(state, now);
}

/** Takes what is free, gives what is too much. Shares change with renewals: there is nothing to see more often. */
function share(state: Membership, now: Instant): void {
  const free = claimFree(state, now);
  if (state.renewedAtMs === now.monotonicMs) drainSurplus(state, free, now);
}

function leave(state: Membership): void {
  for (const holding of state.holdings.values()) drain(state, holding);
  if (state.holdings.size > 0 || state.hasLeft) return;
  state.hasLeft = true;
  state.actions.push({ do: 'left' });
}

function release(state: Membership, holding: Holding, now: Instant): void {
  holding.phase = 'releasing';
  sendReleases(state, now);
}

const isAwake = (state: Membership, now: Instant): boolean =>
  state.mode === 'reading' && state.caughtUpToken === state.catchUpToken && elapsedMs(state.ticked, now) <= state.options.terms.stallMs;

function holdingOf(state: Membership, { lane, epoch }: Reign): Holding | undefined {
  const holding = state.holdings.get(lane);
  return holding?.epoch === epoch ? holding : undefined;
}

function mayAct(state: Membership, reign: Reign, now: Instant): Holding | undefined {
  const holding = holdingOf(state, reign);
  const isOurs = holding?.phase === 'held' || holding?.phase === 'draining';
  return isOurs && isAwake(state, now) && isLeased(state, holding, now) ? holding : undefined;
}

/** Claims the lane that this process owns once more, above what its journal has seen. */
function raise(state: Membership, holding: Holding, { journalEpoch, now }: { journalEpoch: number; now: Instant }): void {
  if (holding.phase !== 'held' || journalEpoch < holding.epoch) return;
  Object.assign(holding, { phase: 'raising', raisedTo: journalEpoch + 1 });
  sendRaises(state, now);
}

/** What the lanes of this process tell of themselves. */
function laneReports(state: Membership, taken: () => readonly LeaseAction[]) {
  const note = (reign: Reign, life: LaneLife, now: Instant): Holding | undefined => {
    const holding = holdingOf(state, reign);
    return holding && Object.assign(holding, life, { aliveAtMs: now.monotonicMs });
  };
  return {
    alive: (reign, life, now) => void note(reign, life, now),
    drained(reign, life, now) {
      const holding = note(reign, life, now);
      if (holding?.phase === 'draining') release(state, holding, now);
      return taken();
    },
    giveUp(reign, reason, now) {
      const holding = holdingOf(state, reign);
      if (holding === undefined) return [];
      state.backOffMs.set(reign.lane, now.monotonicMs + state.options.terms.backOffMs);
      if (reason === 'too many recipients') state.fullUntilMs = now.monotonicMs + state.options.terms.backOffMs;
      release(state, holding, now);
      return taken();
    },
    outdated(reign, journalEpoch, now) {
      const holding = holdingOf(state, reign);
      if (holding !== undefined) raise(state, holding, { journalEpoch, now });
      return taken();
    },
  } satisfies Partial<LeaseMember>;
}

/** What others may ask at any time. */
function laneQuestions(state: Membership) {
  return {
    isLeased: (now) => isAwake(state, now) && isLeased(state, state, now),
    mayAct: (reign, now) => mayAct(state, reign, now) !== undefined,
    mayStart: (reign, now) => mayAct(state, reign, now)?.phase === 'held',
    trimmable: (reign) => holdingOf(state, reign)?.published ?? 0,
    live: () => [...state.memberHeardMs.keys()].flatMap((incarnation) => state.fold.members.get(incarnation) ?? []),
    free: (now) =>
      Array.from({ length: state.laneCount }, (_, lane) => lane).filter((lane) => state.fold.isBased && isFree(state, lane, now)),
  } satisfies Partial<LeaseMember>;
}

/** A worker's part in the lease log: see `LeaseMember`. Pure: what it wants is in the actions. */
export function createLeaseMember(options: Omit<LeaseMemberOptions, 'terms'> & { readonly terms?: Partial<LeaseTerms> }): LeaseMember {
  const state = createMembership({ ...options, terms: { ...leaseTerms, ...options.terms } });
  const taken = (): readonly LeaseAction[] => state.actions.splice(0);
  return {
    ...laneReports(state, taken),
    ...laneQuestions(state),
    get fold() {
      return state.fold;
    },
    reading(from, now) {
      startReading(state, from, now);
      return taken();
    },
    read(records, now) {
      for (const record of records) if (state.mode === 'reading') readOne(state, record, now);
      return taken();
    },
    tick(now) {
      tick(state, now);
      return taken();
    },
    settled(id) {
      if (state.renewal?.id === id) state.renewal = undefined;
    },
    caughtUp(token) {
      state.caughtUpToken = Math.max(state.caughtUpToken, token);
    },
    tableChanged(laneTableVersion, laneCount) {
      Object.assign(state, { laneTableVersion, laneCount });
    },
    logLost() {
      if (state.mode === 'reading') reread(state);
      return taken();
    },
    halt(reason) {
      halt(state, reason);
      return taken();
    },
    stop(now) {
      state.leaving = true;
      state.renewedAtMs = Number.NEGATIVE_INFINITY;
      tick(state, now);
      return taken();
    },
  };
}
