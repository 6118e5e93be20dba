import { type Content, type Envelope, type Moved, MovedRecipient, Result } from '@angarium/records';
import type { LiveMessage, LiveRecipient } from './live.ts';
import { contentPlace, createRecipient, describeMessage, type HeldMessage, type HeldRecipient } from './message.ts';
import { admit, askNotification, isCurrent, type Step } from './state.ts';
import { UnreadableRecord } from './unreadable.ts';

const MAX_RECIPIENTS = 1000;
const MAX_OCTETS = 400 * 1024;

const TOTALS = {
  [Result.DELIVERED]: 'delivered',
  [Result.BOUNCED]: 'bounced',
  [Result.EXPIRED]: 'expired',
  [Result.DISCARDED]: 'discarded',
} as const;

const isFinal = (result: Result): result is keyof typeof TOTALS => result in TOTALS;

function toRecord(recipient: LiveRecipient): MovedRecipient {
  const { address, ordinal, notify, orcpt, nextHop, verdict, lastOutcome } = recipient;
  return {
    recipient: { address, ordinal, notify, orcpt, nextHop, verdict },
    result: lastOutcome?.result ?? Result.UNSPECIFIED,
    dueAtMs: recipient.dueAtMs,
    attempts: recipient.attempts,
    notifyId: recipient.notifyId,
    reply: lastOutcome?.reply,
    relayed: lastOutcome?.relayed ?? false,
    delayNotified: recipient.delayNotified,
    remoteHost: lastOutcome?.remoteHost ?? '',
    notifyTableVersion: recipient.notifyTableVersion,
  };
}

/** Live state of a message as records for the tail of its lane; every one carries where the content is. */
export function formatMoved(message: LiveMessage, content: Content, epoch: number): readonly Moved[] {
  const chunks: MovedRecipient[][] = [];
  let octets = MAX_OCTETS;
  for (const recipient of message.recipients.values()) {
    const record = toRecord(recipient);
    const size = MovedRecipient.encode(record).finish().length;
    if (octets + size > MAX_OCTETS || chunks.at(-1)?.length === MAX_RECIPIENTS) {
      chunks.push([]);
      octets = 0;
    }
    octets += size;
    chunks.at(-1)?.push(record);
  }
  const { envelope, src, acceptedRecipients, expandedRecipients, enqueuedAtMs } = message;
  return chunks.map((recipients, chunk) => ({
    epoch,
    src,
    envelope,
    content,
    chunk,
    recipients,
    acceptedRecipients,
    expandedRecipients,
    enqueuedAtMs,
  }));
}

/** Nothing about the recipient would be lost if a reader knew it from this record alone. */
function saysTheSame(record: MovedRecipient, recipient: HeldRecipient, atMs: number): boolean {
  const known = toRecord(recipient);
  return (
    recipient.heldUntilMs <= atMs &&
    !recipient.expiryForced &&
    record.result === known.result &&
    record.dueAtMs === known.dueAtMs &&
    record.attempts === known.attempts &&
    record.notifyId === known.notifyId &&
    record.notifyTableVersion === known.notifyTableVersion &&
    record.delayNotified === known.delayNotified &&
    record.relayed === known.relayed &&
    record.remoteHost === known.remoteHost &&
    record.reply?.code === known.reply?.code &&
    record.reply?.text === known.reply?.text
  );
}

function setSchedule(step: Step, recipient: HeldRecipient, record: MovedRecipient): void {
  recipient.dueAtMs = record.dueAtMs;
  recipient.attempts = record.attempts;
  recipient.delayNotified = record.delayNotified;
  recipient.lastOutcome = record.result === Result.UNSPECIFIED ? undefined : step.state.intern.outcome(record);
}

function create(step: Step, message: HeldMessage, record: MovedRecipient): void {
  const { state, offset } = step;
  if (record.recipient === undefined) throw new UnreadableRecord(state.lane, offset, 'moved recipient without an address');
  const recipient = createRecipient(message, record.recipient, { since: offset, intern: state.intern });
  setSchedule(step, recipient, record);
  if (isFinal(record.result)) {
    recipient.state = 'notifying';
    state.totals[TOTALS[record.result]]++;
  }
  admit(step, recipient);
  if (record.notifyId !== '') askNotification(step, recipient, record);
}

/** @returns whether the recipient's state can be rebuilt from this record from now on */
function takesPlace(step: Step, recipient: HeldRecipient, record: MovedRecipient): boolean {
  if (saysTheSame(record, recipient, step.atMs)) return true;
  if (recipient.state !== 'waiting' || isFinal(record.result) || record.attempts <= recipient.attempts) return false;
  setSchedule(step, recipient, record);
  step.change.rescheduled.push(recipient);
  return recipient.notifyId === record.notifyId;
}

interface Rewrite {
  readonly record: Moved;
  readonly envelope: Envelope;
  /** From the current epoch, and not naming an older place of the content. */
  readonly mayReplace: boolean;
}

/** @returns whether this record is what the recipient is rebuilt from now */
function rewriteRecipient(step: Step, { record, envelope, mayReplace }: Rewrite, one: MovedRecipient): boolean {
  const { state, offset, atMs } = step;
  const { queueId } = envelope;
  const address = one.recipient?.address ?? '';
  let message = state.messages.take(queueId);
  const recipient = message?.recipients.get(address);
  if (recipient !== undefined && mayReplace && takesPlace(step, recipient, one)) {
    recipient.since = offset;
    recipient.heldUntilMs = 0;
    recipient.attempt = 0;
    return true;
  }
  const known = recipient?.since ?? state.finished.mentioned({ queueId, address, atMs })?.needed;
  if (known !== undefined) {
    state.spans.forbid(known, offset);
    return false;
  }
  message ??= state.messages.create(describeMessage({ ...record, envelope, offset }, state.intern));
  create(step, message, one);
  return mayReplace;
}

/**
 * A rewritten message never overwrites what is known: it creates what is unknown, and takes the place of the older
 * records only where it says the same as they do.
 */
export function applyMoved(step: Step, record: Moved): void {
  const { state, offset } = step;
  const { envelope } = record;
  const place = contentPlace(record.content, offset);
  if (envelope === undefined || place === undefined) throw new UnreadableRecord(state.lane, offset, 'moved without an envelope or content');
  const current = isCurrent(step, record.epoch);
  const known = state.messages.take(envelope.queueId);
  // The lane's own copy of the content is final: a late copy of an older record may name a blob that is gone.
  const isOwned = known?.content.in === 'blob' && known.content.ownedByLane;
  const mayReplace = current && (!isOwned || (place.in === 'blob' && place.ownedByLane));
  let replaced = false;
  for (const one of record.recipients) replaced = rewriteRecipient(step, { record, envelope, mayReplace }, one) || replaced;
  if (known === undefined || !replaced) return;
  known.content = place;
  known.findOldest();
  state.messages.reorder(known);
}
