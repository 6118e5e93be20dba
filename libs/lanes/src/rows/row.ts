import type { NextHop } from '@angarium/records';
import type { EnvelopeRest, SourcePartition } from '../intern.ts';
import type { LiveRecipient } from '../live.ts';
import { HeldEnvelope, HeldMessage, HeldRecipient, type MessageFacts, type Place } from '../message.ts';
import { createOctetReader, createOctetWriter } from './octets.ts';
import { MAX_ROW_OCTETS } from './pages.ts';
import { createShared } from './shared.ts';

/** A message of more recipients is not packed: unpacking it for one of them would cost too much. */
const MAX_RECIPIENTS = 16;

/** Bits of what a row says about the message, and about a recipient. */
const HAS_SOURCE = 1;
const IN_BLOB = 2;
const LANE_BLOB = 4;
const DELAY_NOTIFIED = 1;
const HAS_ORCPT = 2;

/** What is known of a message besides its row. */
export type Held = Pick<MessageFacts, 'home' | 'slot' | 'oldestOffset'>;

/** Where a row lies. */
export interface RowPlace {
  readonly page: Buffer;
  readonly start: number;
}

/** Messages that wait as rows of octets. */
export interface MessageRows {
  /** The row, until the next call. Undefined: it does not wait plainly, or is too large. What it shares with others is held. */
  pack(message: HeldMessage): Buffer | undefined;
  /** What a row says. */
  read(at: RowPlace, its: Held): HeldMessage;
  /** The same of a row that will not be read any more. */
  take(at: RowPlace, its: Held): HeldMessage;
  queueId(at: RowPlace): string;
}

/** Waiting, and with nothing about it that is soon to change. */
const isPlain = (one: HeldRecipient): boolean =>
  one.state === 'waiting' && one.notifyId === '' && one.heldUntilMs === 0 && !one.expiryForced && one.verdict === undefined;

function isPackable({ recipients }: HeldMessage): boolean {
  if (recipients.size > MAX_RECIPIENTS) return false;
  for (const recipient of recipients.values()) if (!isPlain(recipient)) return false;
  return true;
}

type LastOutcome = LiveRecipient['lastOutcome'];
type Value = object | string;

/** Numbers of values, one more than they are; 0: there is none. */
function createWriting(hold: (value: Value) => number) {
  const writer = createOctetWriter(MAX_ROW_OCTETS);
  const share = (value: Value | undefined) => writer.number(value === undefined ? 0 : hold(value) + 1);

  const writeHead = (message: HeldMessage): void => {
    const { envelope, from, place, recipients } = message;
    writer.text(envelope.queueId);
    writer.text(envelope.messageId);
    writer.number(envelope.acceptedAtMs);
    share(envelope.reversePath);
    share(envelope.rest);
    const blob = typeof place === 'number' ? 0 : IN_BLOB | (place.ownedByLane ? LANE_BLOB : 0);
    writer.number(blob | (from === undefined ? 0 : HAS_SOURCE));
    if (typeof place === 'number') writer.signed(place - message.oldestOffset);
    else writer.text(place.key);
    if (from !== undefined) share(from);
    if (from !== undefined) writer.number(message.fromOffset);
    writer.signed(message.enqueuedAtMs - envelope.acceptedAtMs);
    writer.number(message.acceptedRecipients);
    writer.number(message.expandedRecipients);
    writer.number(message.contentOctets);
    writer.number(recipients.size);
  };
  const writeRecipient = (one: HeldRecipient): void => {
    const { message, dueAtMs } = one;
    writer.text(one.address);
    writer.number((one.delayNotified ? DELAY_NOTIFIED : 0) | (one.orcpt === '' ? 0 : HAS_ORCPT));
    if (one.orcpt !== '') writer.text(one.orcpt);
    writer.number(one.ordinal);
    writer.number(one.notify);
    share(one.nextHop);
    share(one.lastOutcome);
    writer.number(one.attempts);
    writer.number(one.attempt);
    writer.number(one.since - message.oldestOffset);
    // At once is 0; an instant is told by its distance from the acceptance.
    writer.signed(dueAtMs === 0 ? 0 : dueAtMs - message.envelope.acceptedAtMs + (dueAtMs >= message.envelope.acceptedAtMs ? 1 : 0));
  };
  return (message: HeldMessage): Buffer | undefined => {
    writer.start();
    writeHead(message);
    for (const recipient of message.recipients.values()) writeRecipient(recipient);
    return writer.end();
  };
}

function createReading() {
  const reader = createOctetReader();

  const readMessage = (value: (number: number) => Value, its: Held): HeldMessage => {
    const shared = (): Value | undefined => {
      const number = reader.number();
      return number === 0 ? undefined : value(number - 1);
    };
    const [queueId, messageId] = [reader.text(), reader.text()];
    const acceptedAtMs = reader.number();
    const reversePath = shared() as string;
    const envelope = new HeldEnvelope({ queueId, messageId, acceptedAtMs, reversePath }, shared() as EnvelopeRest);
    const flags = reader.number();
    const ownedByLane = (flags & LANE_BLOB) !== 0;
    const place: Place = (flags & IN_BLOB) === 0 ? reader.signed() + its.oldestOffset : { in: 'blob', key: reader.text(), ownedByLane };
    const from = (flags & HAS_SOURCE) === 0 ? undefined : (shared() as SourcePartition);
    const message = new HeldMessage({
      ...its,
      envelope,
      place,
      from,
      fromOffset: from === undefined ? 0 : reader.number(),
      enqueuedAtMs: acceptedAtMs + reader.signed(),
      acceptedRecipients: reader.number(),
      expandedRecipients: reader.number(),
      contentOctets: reader.number(),
    });
    for (let left = reader.number(); left > 0; left--) message.recipients.add(readRecipient(message, shared));
    return message;
  };
  const readRecipient = (message: HeldMessage, shared: () => Value | undefined): HeldRecipient => {
    const address = reader.text();
    const flags = reader.number();
    const orcpt = (flags & HAS_ORCPT) === 0 ? '' : reader.text();
    const [ordinal, notify] = [reader.number(), reader.number()];
    const nextHop = shared() as NextHop | undefined;
    const recipient = new HeldRecipient(message, { address, orcpt, ordinal, notify, nextHop, since: 0 });
    recipient.lastOutcome = shared() as LastOutcome;
    recipient.attempts = reader.number();
    recipient.attempt = reader.number();
    recipient.since = message.oldestOffset + reader.number();
    const due = reader.signed();
    recipient.dueAtMs = due === 0 ? 0 : message.envelope.acceptedAtMs + (due > 0 ? due - 1 : due);
    recipient.delayNotified = (flags & DELAY_NOTIFIED) !== 0;
    return recipient;
  };
  return { reader, readMessage };
}

export function createMessageRows(): MessageRows {
  const shared = createShared();
  let held: number[] = [];
  const write = createWriting((value) => {
    const number = shared.hold(value);
    held.push(number);
    return number;
  });
  const { reader, readMessage } = createReading();
  const takeValue = (number: number): Value => {
    const value = shared.value(number);
    shared.release(number);
    return value;
  };
  return {
    pack(message) {
      if (!isPackable(message)) return undefined;
      held = [];
      const row = write(message);
      if (row === undefined) for (const number of held) shared.release(number);
      return row;
    },
    read({ page, start }, its) {
      reader.open(page, start);
      return readMessage(shared.value, its);
    },
    take({ page, start }, its) {
      reader.open(page, start);
      return readMessage(takeValue, its);
    },
    queueId({ page, start }) {
      reader.open(page, start);
      return reader.text();
    },
  };
}
