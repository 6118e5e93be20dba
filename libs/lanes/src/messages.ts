import { hashText } from './hash.ts';
import type { LiveMessages } from './live.ts';
import { HeldMessage, type MessageFacts } from './message.ts';
import { createNames } from './rows/names.ts';
import { createOrder } from './rows/order.ts';
import { createPages } from './rows/pages.ts';
import { createMessageRows, type Held } from './rows/row.ts';

/**
 * The live messages of a lane by queue id, in the order of the oldest record that each needs. Those that records spoke of lately are
 * objects; the others are packed into rows, and unpacked when they are asked for.
 */
export interface Messages extends LiveMessages {
  /** For the record that speaks of it: what is changed in it is held. */
  take(queueId: string): HeldMessage | undefined;
  create(facts: Omit<MessageFacts, 'home' | 'slot'>): HeldMessage;
  delete(message: HeldMessage): void;
  /** Its oldest record is another one now. */
  reorder(message: HeldMessage): void;
  /** Infinity: there is no message. */
  readonly oldestOffset: number;
  /** Packs what was not spoken of lately. Between records. */
  rest(): void;
}

/** Messages by slot, as objects or as rows. */
function createHolder(most: number) {
  const pages = createPages();
  const rows = createMessageRows();
  /** In the order of their last mention. */
  const atHand = new Map<number, HeldMessage>();
  /** Those that cannot be packed as they are. */
  const unpacked = new Map<number, HeldMessage>();
  const objectAt = (slot: number) => atHand.get(slot) ?? unpacked.get(slot);
  return {
    has: (slot: number): boolean => objectAt(slot) !== undefined || pages.has(slot),
    queueIdAt: (slot: number): string => objectAt(slot)?.queueId ?? rows.queueId(pages.find(slot)),
    read: (its: Held): HeldMessage => objectAt(its.slot) ?? rows.read(pages.find(its.slot), its),
    add: (message: HeldMessage) => void atHand.set(message.slot, message),
    take(its: Held): HeldMessage {
      const { slot } = its;
      let message = objectAt(slot);
      if (message === undefined) {
        message = rows.take(pages.find(slot), its);
        pages.delete(slot);
      } else if (!unpacked.delete(slot)) atHand.delete(slot);
      atHand.set(slot, message);
      return message;
    },
    /** It is an object. */
    delete(slot: number): void {
      atHand.delete(slot);
      unpacked.delete(slot);
    },
    rest(): void {
      for (const [slot, message] of atHand) {
        if (atHand.size <= most) return;
        atHand.delete(slot);
        const row = rows.pack(message);
        if (row === undefined) unpacked.set(slot, message);
        else pages.put(slot, row);
      }
    },
  };
}

/** @param most so many messages that were spoken of lately are objects, although they could be packed */
export function createMessages(lane: number, most: number): Messages {
  const holder = createHolder(most);
  const names = createNames(hashText, holder.queueIdAt);
  const order = createOrder();
  const heldAt = (slot: number): Held => ({ home: messages, slot, oldestOffset: order.keyOf(slot) });
  const messages: Messages = {
    lane,
    get size() {
      return names.size;
    },
    has: (queueId) => names.find(queueId) >= 0,
    get(queueId) {
      const slot = names.find(queueId);
      return slot < 0 ? undefined : holder.read(heldAt(slot));
    },
    at: (slot) => (holder.has(slot) ? holder.read(heldAt(slot)) : undefined),
    *values() {
      for (let slot = order.first; slot >= 0; slot = order.after(slot)) yield holder.read(heldAt(slot));
    },
    take(queueId) {
      const slot = names.find(queueId);
      return slot < 0 ? undefined : holder.take(heldAt(slot));
    },
    create(facts) {
      const slot = names.add(facts.envelope.queueId);
      const message = new HeldMessage({ ...facts, home: messages, slot });
      holder.add(message);
      order.add(slot, facts.oldestOffset);
      return message;
    },
    delete({ slot }) {
      holder.delete(slot);
      names.delete(slot);
      order.delete(slot);
    },
    reorder({ slot, oldestOffset }) {
      order.delete(slot);
      order.add(slot, oldestOffset);
    },
    get oldestOffset() {
      return order.first < 0 ? Number.POSITIVE_INFINITY : order.keyOf(order.first);
    },
    rest: holder.rest,
  };
  return messages;
}
