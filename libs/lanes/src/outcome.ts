import { type Enqueued, type Notified, type Outcome, type RecipientOutcome, Result } from '@angarium/records';
import { hashAttempt } from './hash.ts';
import type { LiveRecipient } from './live.ts';
import { createRecipient, describeMessage, type HeldRecipient } from './message.ts';
import { admit, askNotification, conclude, type FinalFact, finish, isCurrent, type Step } from './state.ts';
import { UnreadableRecord } from './unreadable.ts';

const TOTAL_OF: Readonly<Partial<Record<Result, FinalFact['total']>>> = {
  [Result.DELIVERED]: 'delivered',
  [Result.BOUNCED]: 'bounced',
  [Result.EXPIRED]: 'expired',
  [Result.DISCARDED]: 'discarded',
};

export function applyEnqueued(step: Step, record: Enqueued): void {
  const { state, offset, atMs } = step;
  if (record.envelope === undefined) throw new UnreadableRecord(state.lane, offset, 'enqueued without an envelope');
  const { queueId } = record.envelope;
  const partition = record.src === undefined ? -1 : state.floors.indexOf(record.src);
  if (partition >= 0 && record.src !== undefined) {
    state.floors.raise(partition, record.floor, offset);
    if (state.floors.isBelow(partition, record.src.offset)) {
      state.spans.forbid(state.floors.evidence(partition), offset);
      return;
    }
  }
  let message = state.messages.take(queueId);
  // A reader that starts between the parts of one message would take it for younger than it is.
  if (message !== undefined) state.spans.forbid(message.oldestOffset, offset);
  for (const one of record.recipients) {
    const { address } = one;
    const known =
      message?.recipients.get(address)?.since ??
      state.finished.mentioned({ queueId, address, atMs, partition, srcOffset: record.src?.offset ?? 0 })?.needed;
    if (known !== undefined) {
      state.spans.forbid(known, offset);
      continue;
    }
    if (message === undefined) {
      if (record.content?.place === undefined) throw new UnreadableRecord(state.lane, offset, 'enqueued without content');
      message = state.messages.create(describeMessage({ ...record, envelope: record.envelope, enqueuedAtMs: atMs, offset }, state.intern));
    }
    admit(step, createRecipient(message, one, { since: offset, intern: state.intern }));
  }
}

interface OutcomePart {
  readonly outcome: Outcome;
  readonly part: RecipientOutcome;
  readonly current: boolean;
  readonly lastOutcome: LiveRecipient['lastOutcome'];
}

function applyDeferral(step: Step, recipient: HeldRecipient, { outcome, part, current, lastOutcome }: OutcomePart): void {
  // Whoever wrote it: the transaction that the hold waited for has ended. One of an earlier owner, or before it, was another one.
  const endsHold = outcome.epoch >= recipient.heldEpoch && part.attempts > recipient.attempts;
  const wasHeld = recipient.heldUntilMs > 0 && endsHold;
  if (endsHold) recipient.heldUntilMs = 0;
  const attempt = hashAttempt(outcome.attemptId);
  const isOld = !current || part.attempts < recipient.attempts || recipient.attempt === attempt;
  if (recipient.state !== 'waiting' || isOld) {
    if (wasHeld) step.change.rescheduled.push(recipient);
    return;
  }
  recipient.dueAtMs = part.dueAtMs;
  recipient.attempts = part.attempts;
  recipient.attempt = attempt;
  recipient.lastOutcome = lastOutcome;
  if (part.notifyId !== '' && part.notifyId !== recipient.notifyId) {
    recipient.delayNotified = true;
    askNotification(step, recipient, part);
  }
  step.change.rescheduled.push(recipient);
}

/** A final fact about somebody of whom a final fact is known already. */
function countLoser(step: Step, winner: { result: number; attempt: number }, { outcome, part }: OutcomePart): void {
  const { totals } = step.state;
  if (winner.attempt === hashAttempt(outcome.attemptId)) return;
  if (winner.result !== part.result) totals.contradicted++;
  else if (part.result === Result.DELIVERED) {
    totals.duplicates++;
    step.change.duplicates++;
  }
}

function applyToAddress(step: Step, address: string, outcomePart: OutcomePart): void {
  const { state, atMs } = step;
  const { outcome, part, lastOutcome } = outcomePart;
  const recipient = state.messages.take(outcome.queueId)?.recipients.get(address);
  const total = TOTAL_OF[part.result];
  if (recipient === undefined) {
    const winner = total === undefined ? undefined : state.finished.mentioned({ queueId: outcome.queueId, address, atMs });
    if (winner !== undefined) countLoser(step, winner, outcomePart);
    return;
  }
  if (total === undefined) applyDeferral(step, recipient, outcomePart);
  else if (recipient.state === 'waiting') finish(step, recipient, { ...part, total, lastOutcome, attemptId: outcome.attemptId });
  else countLoser(step, { result: recipient.lastOutcome?.result ?? 0, attempt: recipient.attempt }, outcomePart);
}

export function applyOutcome(step: Step, outcome: Outcome): void {
  const { state, offset } = step;
  const current = isCurrent(step, outcome.epoch);
  state.trying.delete(outcome.queueId);
  for (const part of outcome.recipients) {
    if (part.result !== Result.DEFERRED && TOTAL_OF[part.result] === undefined)
      throw new UnreadableRecord(state.lane, offset, `outcome with result ${part.result}`);
    const lastOutcome = state.intern.outcome(part);
    for (const address of part.addresses) applyToAddress(step, address, { outcome, part, current, lastOutcome });
  }
}

export function applyNotified(step: Step, { notifyId }: Notified): void {
  const { state, change } = step;
  const asked = state.pending.get(notifyId);
  if (asked === undefined) return;
  state.pending.delete(notifyId);
  change.notificationsDone.push(notifyId);
  for (const recipient of asked) {
    recipient.notifyId = '';
    if (recipient.state === 'notifying') conclude(step, recipient);
    // It waits on plainly: from now on it can rest.
    else state.messages.take(recipient.message.queueId);
  }
}
