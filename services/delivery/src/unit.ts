import { hashText, type LiveMessage, type LiveMessages, type LiveRecipient } from '@angarium/lanes';
import type { NextHop } from '@angarium/records';
import { reach } from '@angarium/scheduler';
import { canonicalDomain, splitAddress } from '@angarium/smtp';
import type { Lane } from './lane/lane.ts';
import { type NotifyConfig, nextWordAtMs } from './notify/rules.ts';

/** Recipients of one message with one next hop and domain that are due together, as they are at this moment. */
export interface DeliveryUnit {
  /** Its name while it waits or is being looked up. */
  readonly number: number;
  readonly lane: Lane;
  readonly message: LiveMessage;
  /** At least one. */
  readonly recipients: readonly LiveRecipient[];
  readonly hop: NextHop | undefined;
  readonly hopKey: string;
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

const isOneUnit = (one: LiveRecipient, other: LiveRecipient): boolean =>
  one.message === other.message &&
  one.nextHop === other.nextHop &&
  dueAtMsOf(one) === dueAtMsOf(other) &&
  domainOf(one.address) === domainOf(other.address);

/** What makes a unit, of the recipients of one message. One that is alone needs no key. */
const unitKey = (one: LiveRecipient): string =>
  one.message.recipients.size === 1 ? '' : `${hopKeyOf(one.nextHop)} ${domainOf(one.address)} ${dueAtMsOf(one)}`;

/** Recipients of any messages by what makes a unit, each group in their order. */
export function groupRecipients(recipients: readonly LiveRecipient[]): readonly LiveRecipient[][] {
  const groups: LiveRecipient[][] = [];
  const byKey = new Map<string, LiveRecipient[]>();
  let last: LiveRecipient[] = [];
  for (const recipient of recipients) {
    const [neighbour] = last;
    // Neighbours mostly belong together, which takes no key to see.
    if (neighbour === undefined || !isOneUnit(neighbour, recipient)) {
      if (recipient.message !== neighbour?.message) byKey.clear();
      const key = unitKey(recipient);
      last = byKey.get(key) ?? [];
      byKey.set(key, last);
      if (last.length === 0) groups.push(last);
    }
    last.push(recipient);
  }
  return groups;
}

/**
 * The units that wait, or are being looked up, each under a small number: about 30 octets, and the addresses where there are
 * several. What a unit says is asked of the fold when it is opened. A message may have as many as recipients: all but `of` cost O(1)
 * in them.
 */
export interface Units {
  create(lane: Lane, recipients: readonly LiveRecipient[]): DeliveryUnit;
  /** Undefined: its recipients are no more. */
  open(number: number): DeliveryUnit | undefined;
  /** Recipients that it was made of, or left with. */
  size(number: number): number;
  /** Recipients of units that are away. Cost: a look at each number. */
  recipientsAway(): number;
  /** Leaves it some of its recipients. */
  keep(number: number, recipients: readonly LiveRecipient[]): void;
  /** It waits no more. The number is free, but for one that is away. */
  end(number: number): void;
  /** As it is now. Its number is kept from now on until it is back, even if it ends meanwhile. */
  leave(number: number): DeliveryUnit | undefined;
  /** Undefined: it ended meanwhile, or its recipients are no more, and now it is no more either. */
  back(number: number): DeliveryUnit | undefined;
  /** Those of a message, the newest first. */
  of(message: LiveMessage, most?: number): readonly number[];
  /** Instant, to the second before, from which on somebody may have to be told that it still waits. */
  wordAtMs(number: number): number;
  /** False: its next hop is another one. True: look. */
  mayGoTo(number: number, hopKey: string): boolean;
  /** Times in a row that trouble of our own put it off, and that trouble for the queue tools. */
  faults(number: number): number;
  note(number: number): string;
  setFault(number: number, faults: number, note: string): void;
}

interface Columns {
  lane: Uint16Array<ArrayBuffer>;
  slot: Uint32Array<ArrayBuffer>;
  /** Hash of the address where there is one. */
  only: Uint32Array<ArrayBuffer>;
  hop: Uint32Array<ArrayBuffer>;
  word: Uint32Array<ArrayBuffer>;
  faults: Uint8Array<ArrayBuffer>;
  state: Uint8Array<ArrayBuffer>;
  /** Neighbours among the units of the message; one more than they are, 0: none. */
  next: Uint32Array<ArrayBuffer>;
  previous: Uint32Array<ArrayBuffer>;
}

const FREE = 0;
const HERE = 1;
const AWAY = 2;
const ENDED = 3;
const MAX_FAULTS = 255;
const MAX_WORD = 2 ** 32 - 1;

const createColumns = (): Columns => ({
  lane: new Uint16Array(64),
  slot: new Uint32Array(64),
  only: new Uint32Array(64),
  hop: new Uint32Array(64),
  word: new Uint32Array(64),
  faults: new Uint8Array(64),
  state: new Uint8Array(64),
  next: new Uint32Array(64),
  previous: new Uint32Array(64),
});

function reachAll(columns: Columns, number: number): void {
  columns.lane = reach(columns.lane, number);
  columns.slot = reach(columns.slot, number);
  columns.only = reach(columns.only, number);
  columns.hop = reach(columns.hop, number);
  columns.word = reach(columns.word, number);
  columns.faults = reach(columns.faults, number);
  columns.state = reach(columns.state, number);
  columns.next = reach(columns.next, number);
  columns.previous = reach(columns.previous, number);
}

const at = (column: ArrayLike<number> | undefined, index: number): number => column?.[index] ?? 0;

/** The units of each message as a list in the columns. */
function createLists(columns: Columns, lanes: readonly Lane[]) {
  /** By slot of the message: one more than its newest unit. */
  const firsts = new WeakMap<LiveMessages, Uint32Array<ArrayBuffer>>();
  const firstOf = ({ home, slot }: Pick<LiveMessage, 'home' | 'slot'>): number => at(firsts.get(home), slot);
  const setFirst = ({ home, slot }: Pick<LiveMessage, 'home' | 'slot'>, unit: number): void => {
    const column = reach(firsts.get(home) ?? new Uint32Array(0), slot);
    column[slot] = unit;
    firsts.set(home, column);
  };
  return {
    link(number: number, message: LiveMessage): void {
      const next = firstOf(message);
      columns.next[number] = next;
      columns.previous[number] = 0;
      if (next > 0) columns.previous[next - 1] = number + 1;
      setFirst(message, number + 1);
    },
    of(message: LiveMessage, most = Number.POSITIVE_INFINITY): readonly number[] {
      const units: number[] = [];
      for (let unit = firstOf(message); unit > 0 && units.length < most; unit = at(columns.next, unit - 1)) units.push(unit - 1);
      return units;
    },
    unlink(number: number): void {
      const [next, previous] = [at(columns.next, number), at(columns.previous, number)];
      if (next > 0) columns.previous[next - 1] = previous;
      if (previous > 0) columns.next[previous - 1] = next;
      else {
        const home = lanes[at(columns.lane, number)]?.fold.messages;
        if (home !== undefined) setFirst({ home, slot: at(columns.slot, number) }, next);
      }
    },
  };
}

/** What the units say, as the fold knows it. */
function createContent(columns: Columns, lanes: readonly Lane[], config: NotifyConfig) {
  /** Of the units that are not a single recipient. */
  const addresses = new Map<number, readonly string[]>();
  const recipientsOf = (number: number, { recipients }: LiveMessage): readonly LiveRecipient[] => {
    const names = addresses.get(number);
    if (names !== undefined) return names.flatMap((address) => recipients.get(address) ?? []);
    for (const recipient of recipients.values()) if (hashText(recipient.address) === at(columns.only, number)) return [recipient];
    return [];
  };
  const size = (number: number): number => addresses.get(number)?.length ?? 1;
  return {
    addresses,
    size,
    recipientsAway(): number {
      let recipients = 0;
      for (let number = columns.state.indexOf(AWAY); number >= 0; number = columns.state.indexOf(AWAY, number + 1))
        recipients += size(number);
      return recipients;
    },
    keep(number: number, recipients: readonly LiveRecipient[]): void {
      const names = recipients.map(({ address }) => address);
      columns.only[number] = hashText(names[0] ?? '');
      if (names.length > 1) addresses.set(number, names);
      else addresses.delete(number);
      let word = MAX_WORD;
      for (const recipient of recipients) word = Math.min(word, Math.floor(nextWordAtMs(recipient, config) / 1000));
      columns.word[number] = word;
    },
    open(number: number): DeliveryUnit | undefined {
      const lane = lanes[at(columns.lane, number)];
      const state = at(columns.state, number);
      const message = state === HERE || state === AWAY ? lane?.fold.messages.at(at(columns.slot, number)) : undefined;
      const recipients = message === undefined ? [] : recipientsOf(number, message);
      const [first] = recipients;
      if (lane === undefined || message === undefined || first === undefined) return undefined;
      return { number, lane, message, recipients, hop: first.nextHop, hopKey: hopKeyOf(first.nextHop) };
    },
  };
}

/** Numbers, and what stays the same of the units that have them. */
function createNumbers(columns: Columns, lanes: Lane[]) {
  const free: number[] = [];
  let end = 0;
  return {
    take({ lane, message, hopKey }: Pick<DeliveryUnit, 'lane' | 'message' | 'hopKey'>): number {
      const number = free.pop() ?? end++;
      if (number >= columns.state.length) reachAll(columns, number);
      columns.state[number] = HERE;
      columns.lane[number] = lane.number;
      lanes[lane.number] = lane;
      columns.slot[number] = message.slot;
      columns.hop[number] = hashText(hopKey);
      columns.faults[number] = 0;
      return number;
    },
    release(number: number): void {
      columns.state[number] = FREE;
      free.push(number);
    },
  };
}

export function createUnits(config: NotifyConfig): Units {
  const columns = createColumns();
  /** By number; those of a tenure that is over have ended. */
  const lanes: Lane[] = [];
  const lists = createLists(columns, lanes);
  const numbers = createNumbers(columns, lanes);
  const { addresses, keep, open, recipientsAway, size } = createContent(columns, lanes, config);
  const notes = new Map<number, string>();

  const release = (number: number): void => {
    addresses.delete(number);
    notes.delete(number);
    numbers.release(number);
  };
  return {
    open,
    size,
    recipientsAway,
    keep,
    create(lane, recipients) {
      const [first] = recipients;
      if (first === undefined) throw new RangeError('a unit without recipients');
      const number = numbers.take({ lane, message: first.message, hopKey: hopKeyOf(first.nextHop) });
      keep(number, recipients);
      lists.link(number, first.message);
      return { number, lane, message: first.message, recipients, hop: first.nextHop, hopKey: hopKeyOf(first.nextHop) };
    },
    end(number) {
      const state = at(columns.state, number);
      if (state === FREE || state === ENDED) return;
      lists.unlink(number);
      if (state === AWAY) columns.state[number] = ENDED;
      else release(number);
    },
    leave(number) {
      columns.state[number] = AWAY;
      return open(number);
    },
    back(number) {
      const hasEnded = at(columns.state, number) === ENDED;
      const unit = hasEnded ? undefined : open(number);
      columns.state[number] = HERE;
      if (!hasEnded && unit === undefined) lists.unlink(number);
      if (unit === undefined) release(number);
      return unit;
    },
    of: lists.of,
    wordAtMs: (number) => at(columns.word, number) * 1000,
    mayGoTo: (number, hopKey) => at(columns.hop, number) === hashText(hopKey),
    faults: (number) => at(columns.faults, number),
    note: (number) => notes.get(number) ?? '',
    setFault(number, faults, note) {
      columns.faults[number] = Math.min(faults, MAX_FAULTS);
      notes.set(number, note);
    },
  };
}
