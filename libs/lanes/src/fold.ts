import type { Content, Kind, Moved, Owner } from '@angarium/records';
import { createFinishedRecipients } from './finished.ts';
import { createFloors } from './floors.ts';
import { createInterner } from './intern.ts';
import type { Change, LaneRecord, LaneTotals, LiveMessage, LiveMessages, LiveRecipient } from './live.ts';
import { createMessages } from './messages.ts';
import { applyMoved, formatMoved } from './moved.ts';
import { applyAdmin, applyInDoubt, applyOwner, applyTrying } from './orders.ts';
import { applyEnqueued, applyNotified, applyOutcome } from './outcome.ts';
import { createSpans } from './spans.ts';
import { createChange, type LaneState, type Step } from './state.ts';
import { UnreadableRecord } from './unreadable.ts';

export interface LaneFoldOptions {
  readonly lane: number;
  /** Of the log: floors of an older one say nothing any more. */
  readonly incarnation: number;
  /** Offset of the first record that will be applied; else the first one tells. */
  readonly from?: number;
  /**
   * How long a finished recipient stays known and in the log, milliseconds of append time: longer than a stuck TCP send
   * lives, so that no late copy of a record brings it back.
   *
   * @defaultValue 30 minutes
   */
  readonly finalsKeptMs?: number;
  /**
   * Messages that are kept as objects although they could be packed: as many as a lane has under way at once. At least 1.
   *
   * @defaultValue 512
   */
  readonly messagesAtHand?: number;
}

export interface Notification {
  readonly queueId: string;
  readonly message: LiveMessage;
  /** Whose last outcome asks for it; never empty. */
  readonly recipients: readonly LiveRecipient[];
  /** 0: not known. */
  readonly laneTableVersion: number;
}

/**
 * The queue of a lane as a function of its records: the same for every reader that began at the low mark of its time,
 * once it has read as far and was told of the same trims (design §4).
 */
export interface LaneFold {
  /**
   * Applies one record, in log order and without gaps.
   *
   * @throws UnreadableRecord when the lane must be halted; `position` stays at the record, and the fold is void
   * @throws RangeError when records were left out
   */
  apply(record: LaneRecord<Kind>): Change;
  /** Passes over a record of an unknown kind that is not critical. */
  pass(offset: number): void;
  readonly messages: LiveMessages;
  /** Waiting and notifying ones. */
  readonly liveRecipients: number;
  /** Those without a final fact: what is queued, for the accounting. */
  readonly waitingRecipients: number;
  /** Highest epoch that a record showed; 0 before the first `Owner`. */
  readonly epoch: number;
  /** Predecessors in a row that died within 60 s of their start, as the last `Owner` says. */
  readonly recentDeaths: number;
  /** Messages whose attempt was announced by `Trying` and never ended: by queue id, the number of owners that died of it. */
  readonly suspects: ReadonlyMap<string, { readonly owners: number }>;
  readonly totals: LaneTotals;
  /** Offset of the next record; before the first one `from` or 0. */
  readonly position: number;
  /**
   * Highest offset, at most `atMost`, below which nothing is needed to rebuild the live set and to know late records for
   * what they are. Trim to nothing else: an offset below a watermark need not be one (a limit goes into `atMost`).
   * Cost: one pass over remembered recipients.
   */
  watermark(atMost?: number): number;
  /** Oldest record that is needed to know the floors; where it lies far behind, `floorsRecord` lets go of it. */
  readonly floorsOffset: number;
  /** The lane was trimmed to `low`: what is kept only as long as the history may be forgotten. */
  historyStarts(low: number): void;
  /** At most `limit` messages for `moved`, the one with the oldest needed record first; held ones are left out. */
  oldest(limit: number): readonly LiveMessage[];
  notification(notifyId: string): Notification | undefined;
  pendingNotifications(): Iterable<string>;
  /**
   * Live state of a message, for the tail of the lane: records of at most 1,000 recipients and 400 KiB without the
   * content. `content` is where the body is now and rides in every record, so a message of several is better in a blob.
   */
  moved(message: LiveMessage, content: Content): readonly Moved[];
  /**
   * First record of a new owner: the next epoch, the floors, and how many predecessors died young.
   *
   * @param nowMs when given, a predecessor that began over ten minutes ago is no young death, however little it wrote
   */
  ownerRecord(owner: string, nowMs?: number): Owner;
  /** Repeats the floors under the current epoch; no barrier. For an owner whose watermark waits at `floorsOffset`. */
  floorsRecord(owner: string): Owner;
}

const FINALS_KEPT_MS = 30 * 60_000;
const MESSAGES_AT_HAND = 512;
const YOUNG_MS = 60_000;
const NOT_A_LOOP_MS = 10 * 60_000;

function createState(options: LaneFoldOptions): LaneState {
  const floors = createFloors(options.incarnation);
  return {
    lane: options.lane,
    messages: createMessages(options.lane, options.messagesAtHand ?? MESSAGES_AT_HAND),
    pending: new Map(),
    trying: new Map(),
    finished: createFinishedRecipients({ keptMs: options.finalsKeptMs ?? FINALS_KEPT_MS, floors }),
    floors,
    spans: createSpans(),
    intern: createInterner(),
    totals: { enqueued: 0, delivered: 0, bounced: 0, expired: 0, discarded: 0, duplicates: 0, contradicted: 0 },
    reign: { startedAtMs: 0, lastSeenAtMs: 0, recentDeaths: 0 },
    epoch: 0,
    epochEvidence: 0,
    liveRecipients: 0,
    waitingRecipients: 0,
  };
}

function applyKind(step: Step, kind: Kind): void {
  switch (kind.$case) {
    case 'enqueued':
      applyEnqueued(step, kind.value);
      break;
    case 'outcome':
      applyOutcome(step, kind.value);
      break;
    case 'notified':
      applyNotified(step, kind.value);
      break;
    case 'moved':
      applyMoved(step, kind.value);
      break;
    case 'owner':
      applyOwner(step, kind.value);
      break;
    case 'inDoubt':
      applyInDoubt(step, kind.value);
      break;
    case 'trying':
      applyTrying(step, kind.value);
      break;
    case 'admin':
      applyAdmin(step, kind.value);
      break;
    case 'accepted':
    case 'dead':
    case 'controlSnapshot':
    case 'suspension':
    case 'limitOrder':
    case 'logIncarnation':
    case 'laneTable':
    case 'leaseRenewal':
    case 'leaseClaim':
    case 'leaseRelease':
    case 'leaseSnapshot':
      throw new UnreadableRecord(step.state.lane, step.offset, `a record of kind ${kind.$case} does not belong here`);
  }
}

function oldestMessages(state: LaneState, limit: number, nowMs: number): readonly LiveMessage[] {
  const oldest: LiveMessage[] = [];
  for (const message of state.messages.values()) {
    if (oldest.length === limit) break;
    let isSettled = true;
    for (const { heldUntilMs, expiryForced } of message.recipients.values()) isSettled &&= heldUntilMs <= nowMs && !expiryForced;
    if (isSettled) oldest.push(message);
  }
  return oldest;
}

function findWatermark(state: LaneState, atMost: number, nowMs: number): number {
  const epochEvidence = state.epoch > 0 ? state.epochEvidence : Number.POSITIVE_INFINITY;
  const { floors, finished, messages, spans } = state;
  return spans.allowed(Math.min(atMost, epochEvidence, floors.oldestEvidence(), finished.oldestNeeded(nowMs), messages.oldestOffset));
}

function countDeaths({ reign, messages }: LaneState, nowMs: number): number {
  const diedYoung = reign.startedAtMs > 0 && reign.lastSeenAtMs - reign.startedAtMs < YOUNG_MS && nowMs - reign.startedAtMs < NOT_A_LOOP_MS;
  return diedYoung && messages.size > 0 ? reign.recentDeaths + 1 : 0;
}

const formatOwner = ({ floors }: LaneState, owner: string, its: Pick<Owner, 'epoch' | 'recentDeaths'>): Owner => ({
  ...its,
  owner,
  floors: [...floors.list()],
});

function findNotification({ pending }: LaneState, notifyId: string): Notification | undefined {
  const recipients = [...(pending.get(notifyId) ?? [])];
  const [first] = recipients;
  if (first === undefined) return undefined;
  const { message, notifyTableVersion: laneTableVersion } = first;
  return { queueId: message.queueId, message, recipients, laneTableVersion };
}

export function createLaneFold(options: LaneFoldOptions): LaneFold {
  const state = createState(options);
  let position = options.from;
  let atMs = 0;

  const check = (offset: number): void => {
    if (offset !== (position ?? offset)) throw new RangeError(`lane ${state.lane}: record ${offset} where ${position} was expected`);
  };

  return {
    messages: state.messages,
    totals: state.totals,
    apply(record) {
      check(record.offset);
      position = record.offset;
      atMs = record.appendedAtMs;
      const change = createChange();
      applyKind({ state, offset: record.offset, atMs, change }, record.kind);
      position++;
      state.messages.rest();
      return change;
    },
    pass(offset) {
      check(offset);
      position = offset + 1;
    },
    get liveRecipients() {
      return state.liveRecipients;
    },
    get waitingRecipients() {
      return state.waitingRecipients;
    },
    get epoch() {
      return state.epoch;
    },
    get recentDeaths() {
      return state.reign.recentDeaths;
    },
    suspects: state.trying,
    get position() {
      return position ?? 0;
    },
    get floorsOffset() {
      return Math.min(position ?? 0, state.floors.oldestEvidence());
    },
    watermark: (atMost = Number.POSITIVE_INFINITY) => findWatermark(state, Math.min(atMost, position ?? 0), atMs),
    historyStarts(low) {
      state.finished.historyStarts(low);
      state.spans.forget(low);
    },
    oldest: (limit) => oldestMessages(state, limit, atMs),
    notification: (notifyId) => findNotification(state, notifyId),
    pendingNotifications: () => state.pending.keys(),
    moved: (message, content) => formatMoved(state.messages.get(message.queueId) ?? message, content, state.epoch),
    ownerRecord: (owner, nowMs = atMs) => formatOwner(state, owner, { epoch: state.epoch + 1, recentDeaths: countDeaths(state, nowMs) }),
    floorsRecord: (owner) => formatOwner(state, owner, { epoch: state.epoch, recentDeaths: state.reign.recentDeaths }),
  };
}
