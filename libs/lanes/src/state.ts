import type { RecipientOutcome } from '@angarium/records';
import type { FinishedRecipients } from './finished.ts';
import type { Floors } from './floors.ts';
import { hashAttempt } from './hash.ts';
import type { Interner } from './intern.ts';
import type { Change, LaneTotals } from './live.ts';
import type { HeldRecipient } from './message.ts';
import type { Messages } from './messages.ts';
import type { Spans } from './spans.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };
export type MutableChange = Mutable<Change>;

/** A predecessor's life as the lane shows it. */
export interface Reign {
  startedAtMs: number;
  lastSeenAtMs: number;
  recentDeaths: number;
}

export interface LaneState {
  readonly lane: number;
  readonly messages: Messages;
  /** Notifications that are asked for and not known to be durable. */
  readonly pending: Map<string, Set<HeldRecipient>>;
  /** Attempts begun under `Trying` of which nothing more was heard: by queue id, how many owners. */
  readonly trying: Map<string, { epoch: number; owners: number }>;
  readonly finished: FinishedRecipients;
  readonly floors: Floors;
  readonly spans: Spans;
  readonly intern: Interner;
  readonly totals: LaneTotals;
  readonly reign: Reign;
  epoch: number;
  /** Last record that shows the current epoch. */
  epochEvidence: number;
  liveRecipients: number;
  /** Live ones without a final fact. */
  waitingRecipients: number;
}

/** One record on its way through the fold. */
export interface Step {
  readonly state: LaneState;
  readonly offset: number;
  readonly atMs: number;
  readonly change: MutableChange;
}

export const createChange = (): MutableChange => ({
  admitted: [],
  rescheduled: [],
  finished: [],
  notificationsAsked: [],
  notificationsDone: [],
  ended: [],
  duplicates: 0,
});

/** Takes note of a record's epoch. False: it is from before the barrier, and what it says about scheduling is void. */
export function isCurrent({ state, offset, atMs }: Step, epoch: number): boolean {
  if (epoch < state.epoch) {
    state.spans.forbid(state.epochEvidence, offset);
    return false;
  }
  state.epoch = epoch;
  state.epochEvidence = offset;
  state.reign.lastSeenAtMs = atMs;
  return true;
}

export function admit({ state, change }: Step, recipient: HeldRecipient): void {
  recipient.message.recipients.add(recipient);
  state.liveRecipients++;
  if (recipient.state === 'waiting') state.waitingRecipients++;
  state.totals.enqueued++;
  change.admitted.push(recipient);
}

/** What a record says about a DSN that it asks for. */
export interface Asked {
  /** Empty: nobody is to be told. */
  readonly notifyId: string;
  readonly notifyTableVersion: number;
}

export function askNotification({ state, change }: Step, recipient: HeldRecipient, { notifyId, notifyTableVersion }: Asked): void {
  recipient.notifyId = notifyId;
  recipient.notifyTableVersion = notifyTableVersion;
  const asked = state.pending.get(notifyId);
  if (asked !== undefined) asked.add(recipient);
  else {
    state.pending.set(notifyId, new Set([recipient]));
    change.notificationsAsked.push(notifyId);
  }
}

/** A later fact overtakes a notification that is still to come, as a delivery does a notice of delay. */
function withdrawNotification({ state }: Step, recipient: HeldRecipient): void {
  const asked = state.pending.get(recipient.notifyId);
  asked?.delete(recipient);
  if (asked?.size === 0) state.pending.delete(recipient.notifyId);
  recipient.notifyId = '';
  recipient.notifyTableVersion = 0;
}

/** Takes a recipient out of the live set and remembers it. */
export function conclude(step: Step, recipient: HeldRecipient): void {
  const { state, change, atMs } = step;
  const { message } = recipient;
  message.recipients.delete(recipient.address);
  state.liveRecipients--;
  const src = message.src;
  state.finished.add({
    queueId: message.queueId,
    address: recipient.address,
    result: recipient.lastOutcome?.result ?? 0,
    attempt: recipient.attempt,
    needed: recipient.since,
    atMs,
    partition: src === undefined ? -1 : state.floors.indexOf(src),
    srcOffset: src?.offset ?? 0,
    derived: message.envelope.parentQueueId !== '',
  });
  if (message.recipients.size > 0) return;
  state.messages.delete(message);
  state.trying.delete(message.queueId);
  change.ended.push(message);
}

export interface FinalFact extends Asked {
  readonly result: RecipientOutcome['result'];
  readonly total: 'delivered' | 'bounced' | 'expired' | 'discarded';
  readonly lastOutcome: HeldRecipient['lastOutcome'];
  readonly attemptId: string;
}

/** The first final fact wins, whoever wrote it and whenever it came. */
export function finish(step: Step, recipient: HeldRecipient, fact: FinalFact): void {
  const { state, change } = step;
  if (recipient.notifyId !== '') withdrawNotification(step, recipient);
  recipient.state = 'notifying';
  recipient.lastOutcome = fact.lastOutcome;
  recipient.attempt = hashAttempt(fact.attemptId);
  recipient.heldUntilMs = 0;
  recipient.expiryForced = false;
  state.waitingRecipients--;
  state.totals[fact.total]++;
  change.finished.push({ recipient, result: fact.result });
  if (fact.notifyId === '') conclude(step, recipient);
  else askNotification(step, recipient, fact);
}
