import type { LiveMessage, LiveRecipient } from '@angarium/lanes';
import type { NextHop } from '@angarium/records';
import { NEW_UNIT, type Unit } from '@angarium/scheduler';
import { canonicalDomain, splitAddress } from '@angarium/smtp';
import type { Lane } from './lane/lane.ts';

/** Recipients of one message with one next hop and domain that are due together. */
export interface DeliveryUnit extends Unit {
  readonly lane: Lane;
  readonly message: LiveMessage;
  readonly hop: NextHop | undefined;
  readonly hopKey: string;
  recipients: LiveRecipient[];
  /** Neighbours among the waiting units of the same message. */
  next: DeliveryUnit | undefined;
  previous: DeliveryUnit | undefined;
  /** Among them. */
  isListed: boolean;
  /** Times in a row that trouble of our own put it off. */
  faults: number;
  /** That trouble, for the queue tools. */
  note: string;
}

const MAX_DOMAINS = 10_000;
const domains = new Map<string, string>();

/** Domain of an address in the form that suspensions and filters use; one string per domain, however many recipients. */
export function domainOf(address: string): string {
  const domain = splitAddress(address)?.domain ?? '';
  let known = domains.get(domain);
  if (known === undefined) {
    if (domains.size >= MAX_DOMAINS) domains.clear();
    known = canonicalDomain(domain);
    domains.set(domain, known);
  }
  return known;
}

const hopKeys = new WeakMap<NextHop, string>();

/** Equal for hops that a transport resolves alike; the account of a mailbox is not part of it. */
export function hopKeyOf(hop: NextHop | undefined): string {
  if (hop === undefined) return '';
  let key = hopKeys.get(hop);
  if (key === undefined) {
    key = `${hop.kind} ${hop.name}`;
    hopKeys.set(hop, key);
  }
  return key;
}

export const dueAtMsOf = ({ dueAtMs, heldUntilMs }: LiveRecipient): number => Math.max(dueAtMs, heldUntilMs);

function createUnit(lane: Lane, first: LiveRecipient): DeliveryUnit {
  const { message, nextHop } = first;
  const { envelope, enqueuedAtMs } = message;
  return {
    ...NEW_UNIT,
    tenant: envelope.tenant,
    domain: domainOf(first.address),
    priority: envelope.priority,
    ageMs: enqueuedAtMs,
    cost: 1,
    lane,
    message,
    hop: nextHop,
    hopKey: hopKeyOf(nextHop),
    recipients: [first],
    next: undefined,
    previous: undefined,
    isListed: false,
    faults: 0,
    note: '',
  };
}

/** Units of recipients of any messages, each with its recipients in their order. */
export function groupUnits(lane: Lane, recipients: readonly LiveRecipient[]): readonly DeliveryUnit[] {
  const units: DeliveryUnit[] = [];
  let byKey = new Map<string, DeliveryUnit>();
  let message: LiveMessage | undefined;
  for (const recipient of recipients) {
    if (recipient.message !== message) byKey = new Map();
    message = recipient.message;
    // The usual message has one recipient, and needs no key.
    const isAlone = message.recipients.size === 1;
    const key = isAlone ? '' : `${hopKeyOf(recipient.nextHop)} ${domainOf(recipient.address)} ${dueAtMsOf(recipient)}`;
    const unit = byKey.get(key);
    if (unit !== undefined) unit.recipients.push(recipient);
    else {
      const created = createUnit(lane, recipient);
      byKey.set(key, created);
      units.push(created);
    }
  }
  return units;
}

/** The waiting units of each message, newest first. A message may have as many as recipients: all but `of` cost O(1). */
export interface MessageUnits {
  add(unit: DeliveryUnit): void;
  /** No-op for one that is not there. */
  delete(unit: DeliveryUnit): void;
  of(message: LiveMessage, most?: number): readonly DeliveryUnit[];
}

export function createMessageUnits(): MessageUnits {
  const first = new Map<LiveMessage, DeliveryUnit>();
  return {
    add(unit) {
      unit.next = first.get(unit.message);
      if (unit.next !== undefined) unit.next.previous = unit;
      unit.isListed = true;
      first.set(unit.message, unit);
    },
    delete(unit) {
      if (!unit.isListed) return;
      const { message, next, previous } = unit;
      if (next !== undefined) next.previous = previous;
      if (previous !== undefined) previous.next = next;
      else if (next !== undefined) first.set(message, next);
      else first.delete(message);
      unit.isListed = false;
      unit.next = undefined;
      unit.previous = undefined;
    },
    of(message, most = Number.POSITIVE_INFINITY) {
      const units: DeliveryUnit[] = [];
      for (let unit = first.get(message); unit !== undefined && units.length < most; unit = unit.next) units.push(unit);
      return units;
    },
  };
}
