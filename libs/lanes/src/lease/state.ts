import type { Kind, LeasedLane, LeaseWriter } from '@angarium/records';
import type { Inheritance, LeaseAction } from './action.ts';
import { createLeaseFold, type LeaseFold } from './fold.ts';
import type { Instant, LeaseTerms } from './terms.ts';

export interface LeaseMemberOptions {
  /** Name of the worker: lanes prefer names. */
  readonly worker: string;
  /** Drawn at each start; never empty. */
  readonly incarnation: string;
  /** Drawn at each start; names the log if this process is the first to write to it. Never empty. */
  readonly logId: string;
  /** Where other services reach this worker over gRPC. */
  readonly address: string;
  readonly laneCount: number;
  readonly laneTableVersion: number;
  /** Waiting recipients above which lanes are refused. */
  readonly recipientBudget: number;
  /** Lanes that are given away at once, unless all are. */
  readonly drainsAtOnce: number;
  /** A lock proves that no other process can own a lane: nothing is waited for. */
  readonly isAlone: boolean;
  readonly terms: LeaseTerms;
  readonly now: Instant;
}

/** A lane that this process owns. */
export interface Holding {
  readonly lane: number;
  epoch: number;
  phase: 'held' | 'draining' | 'releasing' | 'raising';
  readonly inherited: Inheritance;
  /** The moment before the newest renewal that was read back was sent. */
  leasedAt: Instant;
  /** Monotonic; when the lane was last seen to work. */
  aliveAtMs: number;
  /** It was left out of the newest renewal, since it did not work for long. */
  failing: boolean;
  watermark: number;
  recipients: number;
  /** Highest watermark that came back in an own renewal. */
  published: number;
  /** Of a lane that is to be claimed anew: above what its journal has seen. */
  raisedTo: number;
  /** Monotonic; when its release or its higher claim was last sent. */
  askedAtMs: number;
}

/** A claim that was not read back. */
export interface PendingClaim {
  readonly epoch: number;
  readonly sentAtMs: number;
  readonly recipients: number;
  readonly inherited: Inheritance;
}

/** All that a member knows. Times in `Ms` are monotonic. */
export interface Membership {
  readonly options: LeaseMemberOptions;
  laneCount: number;
  laneTableVersion: number;
  fold: LeaseFold;
  readonly actions: LeaseAction[];
  readonly holdings: Map<number, Holding>;
  readonly claims: Map<number, PendingClaim>;
  /** Instants before own renewals and claims were sent, by their sequence. */
  readonly sent: Map<number, Instant>;
  sequence: number;
  appendId: number;
  /** A renewal that is under way. */
  renewal: { readonly id: number; readonly sentAtMs: number } | undefined;
  renewedAtMs: number;
  /** Of the newest renewal. */
  renewalSequence: number;
  /** Receipt of the newest record about a lane, and of the newest renewal by a member. */
  readonly laneHeardMs: Map<number, number>;
  readonly memberHeardMs: Map<string, number>;
  /** Since when it is heard without a silence; absent: since before this process began to read. */
  readonly memberSinceMs: Map<string, number>;
  basedAtMs: number;
  /** The moment before the newest renewal that came back was sent. */
  leasedAt: Instant;
  /** When the own renewal last came back, and since when they come back at cadence. */
  cameBackAtMs: number;
  cadenceSinceMs: number;
  /** Last change of who takes part. */
  changedAtMs: number;
  readonly freeSinceMs: Map<number, number>;
  /** Lanes that are left alone until then. */
  readonly backOffMs: Map<number, number>;
  /** Lanes that were given to others and came back are not given again until then, or until somebody comes. */
  readonly keepUntilMs: Map<number, number>;
  /** Lanes that were given to others and that none of them has taken yet. */
  readonly given: Set<number>;
  snapshotSentMs: number;
  snapshotHeardMs: number;
  ticked: Instant;
  catchUpToken: number;
  caughtUpToken: number;
  fullUntilMs: number;
  leaving: boolean;
  hasLeft: boolean;
  /** `rereading`: records are ignored until the reader starts anew. */
  mode: 'reading' | 'rereading' | 'halted';
  readonly staleLogs: Set<string>;
}

const NEVER = Number.NEGATIVE_INFINITY;
export const LONG_AGO: Instant = { monotonicMs: NEVER, wallMs: NEVER };

export const createMembership = (options: LeaseMemberOptions): Membership => ({
  options,
  laneCount: options.laneCount,
  laneTableVersion: options.laneTableVersion,
  fold: createLeaseFold(0),
  actions: [],
  holdings: new Map(),
  claims: new Map(),
  sent: new Map(),
  sequence: 0,
  appendId: 0,
  renewal: undefined,
  renewedAtMs: NEVER,
  renewalSequence: 0,
  laneHeardMs: new Map(),
  memberHeardMs: new Map(),
  memberSinceMs: new Map(),
  basedAtMs: NEVER,
  leasedAt: LONG_AGO,
  cameBackAtMs: NEVER,
  cadenceSinceMs: NEVER,
  changedAtMs: NEVER,
  freeSinceMs: new Map(),
  backOffMs: new Map(),
  keepUntilMs: new Map(),
  given: new Set(),
  snapshotSentMs: NEVER,
  snapshotHeardMs: NEVER,
  ticked: options.now,
  catchUpToken: 0,
  caughtUpToken: 0,
  fullUntilMs: NEVER,
  leaving: false,
  hasLeft: false,
  mode: 'rereading',
  staleLogs: new Set(),
});

/** Header of the next record. */
export function nextWriter(state: Membership): LeaseWriter {
  const { worker, incarnation, logId } = state.options;
  state.sequence++;
  return {
    worker,
    incarnation,
    logId: state.fold.logId || logId,
    sequence: state.sequence,
    seen: state.fold.seen,
    seenAtMs: state.fold.seenAtMs,
  };
}

export function append(state: Membership, kinds: readonly Kind[]): number {
  state.appendId++;
  state.actions.push({ do: 'append', id: state.appendId, kinds });
  return state.appendId;
}

/** Takes note of a lane that the log gives to this process. */
export function hold(
  state: Membership,
  lease: LeasedLane,
  holding: Pick<Holding, 'phase' | 'inherited' | 'leasedAt'> & { now: Instant },
): Holding {
  const { phase, inherited, leasedAt, now } = holding;
  const { lane, epoch, watermark, recipients } = lease;
  const held = {
    lane,
    epoch,
    phase,
    inherited,
    leasedAt,
    aliveAtMs: now.monotonicMs,
    failing: false,
    watermark,
    recipients,
    published: 0,
    raisedTo: epoch,
    askedAtMs: NEVER,
  };
  state.holdings.set(lane, held);
  return held;
}

export const toLeasedLane = ({ lane, epoch, watermark, recipients }: Holding): LeasedLane => ({ lane, epoch, watermark, recipients });
