import type { Content, Envelope, NextHop, Recipient, Source } from '@angarium/records';
import type { EnvelopeRest, Interner, SourcePartition } from './intern.ts';
import type { ContentPlace, LiveMessage, LiveMessages, LiveRecipient } from './live.ts';

// The live index is the memory of a delivery worker, so its objects are small: what few recipients have sits in an
// object of its own that the others do not carry, what many share is shared, and getters show the shape of `live.ts`.

export class HeldEnvelope implements Envelope {
  readonly queueId: string;
  readonly reversePath: string;
  readonly acceptedAtMs: number;
  readonly messageId: string;
  readonly rest: EnvelopeRest;
  constructor(its: Pick<Envelope, 'queueId' | 'reversePath' | 'acceptedAtMs' | 'messageId'>, rest: EnvelopeRest) {
    this.queueId = its.queueId;
    this.reversePath = its.reversePath;
    this.acceptedAtMs = its.acceptedAtMs;
    this.messageId = its.messageId;
    this.rest = rest;
  }
  get envid() {
    return this.rest.envid;
  }
  get ret() {
    return this.rest.ret;
  }
  get bodyType() {
    return this.rest.bodyType;
  }
  get smtputf8() {
    return this.rest.smtputf8;
  }
  get headerUtf8() {
    return this.rest.headerUtf8;
  }
  get tenant() {
    return this.rest.tenant;
  }
  get priority() {
    return this.rest.priority;
  }
  get parentQueueId() {
    return this.rest.parentQueueId;
  }
  get traceparent() {
    return this.rest.traceparent;
  }
}

/** A map that holds its only value without a hash table: most messages of a lane have one recipient. */
class RecipientMap implements ReadonlyMap<string, HeldRecipient> {
  #held: HeldRecipient | Map<string, HeldRecipient> | undefined;
  get size() {
    if (this.#held === undefined) return 0;
    return this.#held instanceof Map ? this.#held.size : 1;
  }
  get(address: string) {
    if (this.#held instanceof Map) return this.#held.get(address);
    return this.#held?.address === address ? this.#held : undefined;
  }
  has(address: string) {
    return this.get(address) !== undefined;
  }
  add(recipient: HeldRecipient) {
    if (this.#held === undefined) this.#held = recipient;
    else if (this.#held instanceof Map) this.#held.set(recipient.address, recipient);
    else this.#held = new Map([this.#held, recipient].map((one) => [one.address, one]));
  }
  delete(address: string) {
    if (this.#held instanceof Map) this.#held.delete(address);
    else if (this.#held?.address === address) this.#held = undefined;
  }
  values(): MapIterator<HeldRecipient> {
    if (this.#held instanceof Map) return this.#held.values();
    return (this.#held === undefined ? [] : [this.#held]).values() as MapIterator<HeldRecipient>;
  }
  *entries(): MapIterator<[string, HeldRecipient]> {
    for (const recipient of this.values()) yield [recipient.address, recipient];
  }
  *keys(): MapIterator<string> {
    for (const recipient of this.values()) yield recipient.address;
  }
  [Symbol.iterator]() {
    return this.entries();
  }
  forEach(visit: (value: HeldRecipient, key: string, map: ReadonlyMap<string, HeldRecipient>) => void) {
    for (const recipient of this.values()) visit(recipient, recipient.address, this);
  }
}

interface Rare {
  orcpt: string;
  verdict: LiveRecipient['verdict'];
  heldUntilMs: number;
  heldEpoch: number;
  expiryForced: boolean;
  notifyId: string;
  notifyTableVersion: number;
  delayNotified: boolean;
}

const USUAL: Readonly<Rare> = {
  orcpt: '',
  verdict: undefined,
  heldUntilMs: 0,
  heldEpoch: 0,
  expiryForced: false,
  notifyId: '',
  notifyTableVersion: 0,
  delayNotified: false,
};

/** What a recipient is held with from its first record on. */
export type RecipientFacts = Omit<Recipient, 'verdict'> & {
  /** Oldest record that its state can be rebuilt from. */
  readonly since: number;
};

export class HeldRecipient implements LiveRecipient {
  readonly message: HeldMessage;
  readonly address: string;
  readonly ordinal: number;
  readonly notify: number;
  readonly nextHop: NextHop | undefined;
  state: LiveRecipient['state'] = 'waiting';
  attempts = 0;
  lastOutcome: LiveRecipient['lastOutcome'] = undefined;
  since: number;
  /** Hash of the attempt that wrote the last deferral: a copy of its record changes nothing. */
  attempt = 0;
  #rare: Rare | undefined = undefined;
  /** After the acceptance, where a small number does; undefined is at once. */
  #dueAfterMs: number | undefined = undefined;

  constructor(message: HeldMessage, facts: RecipientFacts) {
    this.message = message;
    this.address = facts.address;
    this.ordinal = facts.ordinal;
    this.notify = facts.notify;
    this.nextHop = facts.nextHop;
    this.since = facts.since;
    if (facts.orcpt !== '') this.#change('orcpt', facts.orcpt);
  }

  #change<K extends keyof Rare>(key: K, value: Rare[K]) {
    if (this.#rare === undefined && value !== USUAL[key]) this.#rare = { ...USUAL };
    if (this.#rare !== undefined) this.#rare[key] = value;
  }
  get dueAtMs() {
    return this.#dueAfterMs === undefined ? 0 : this.message.envelope.acceptedAtMs + this.#dueAfterMs;
  }
  set dueAtMs(value: number) {
    this.#dueAfterMs = value === 0 ? undefined : value - this.message.envelope.acceptedAtMs;
  }
  get orcpt() {
    return (this.#rare ?? USUAL).orcpt;
  }
  get verdict() {
    return (this.#rare ?? USUAL).verdict;
  }
  set verdict(value: LiveRecipient['verdict']) {
    this.#change('verdict', value);
  }
  get heldUntilMs() {
    return (this.#rare ?? USUAL).heldUntilMs;
  }
  set heldUntilMs(value: number) {
    this.#change('heldUntilMs', value);
  }
  /** Of the owner that holds it. */
  get heldEpoch() {
    return (this.#rare ?? USUAL).heldEpoch;
  }
  set heldEpoch(value: number) {
    this.#change('heldEpoch', value);
  }
  get expiryForced() {
    return (this.#rare ?? USUAL).expiryForced;
  }
  set expiryForced(value: boolean) {
    this.#change('expiryForced', value);
  }
  get notifyId() {
    return (this.#rare ?? USUAL).notifyId;
  }
  set notifyId(value: string) {
    this.#change('notifyId', value);
  }
  get notifyTableVersion() {
    return (this.#rare ?? USUAL).notifyTableVersion;
  }
  set notifyTableVersion(value: number) {
    this.#change('notifyTableVersion', value);
  }
  get delayNotified() {
    return (this.#rare ?? USUAL).delayNotified;
  }
  set delayNotified(value: boolean) {
    this.#change('delayNotified', value);
  }
}

/** What `Enqueued` and `Moved` say about a message as a whole. */
export interface MessageHead {
  readonly envelope: Envelope;
  readonly src: Source | undefined;
  readonly content: Content | undefined;
  readonly acceptedRecipients: number;
  readonly expandedRecipients: number;
  readonly enqueuedAtMs: number;
  readonly offset: number;
}

/** A number is the offset of the record that holds the content. */
export type Place = number | { readonly in: 'blob'; readonly key: string; readonly ownedByLane: boolean };

/** What a message is held with. */
export interface MessageFacts {
  readonly home: LiveMessages;
  readonly slot: number;
  readonly envelope: HeldEnvelope;
  readonly from: SourcePartition | undefined;
  readonly fromOffset: number;
  readonly enqueuedAtMs: number;
  readonly acceptedRecipients: number;
  readonly expandedRecipients: number;
  readonly contentOctets: number;
  readonly place: Place;
  readonly oldestOffset: number;
}

export class HeldMessage implements LiveMessage {
  readonly home: LiveMessages;
  readonly slot: number;
  readonly envelope: HeldEnvelope;
  readonly from: SourcePartition | undefined;
  readonly fromOffset: number;
  readonly enqueuedAtMs: number;
  readonly acceptedRecipients: number;
  readonly expandedRecipients: number;
  readonly contentOctets: number;
  readonly recipients = new RecipientMap();
  place: Place;
  oldestOffset: number;

  constructor(facts: MessageFacts) {
    this.home = facts.home;
    this.slot = facts.slot;
    this.envelope = facts.envelope;
    this.from = facts.from;
    this.fromOffset = facts.fromOffset;
    this.enqueuedAtMs = facts.enqueuedAtMs;
    this.acceptedRecipients = facts.acceptedRecipients;
    this.expandedRecipients = facts.expandedRecipients;
    this.contentOctets = facts.contentOctets;
    this.place = facts.place;
    this.oldestOffset = facts.oldestOffset;
  }
  get queueId() {
    return this.envelope.queueId;
  }
  get src(): Source | undefined {
    return this.from === undefined ? undefined : { ...this.from, offset: this.fromOffset };
  }
  get content(): ContentPlace {
    return typeof this.place === 'number' ? { in: 'record', offset: this.place } : this.place;
  }
  set content(place: ContentPlace) {
    this.place = place.in === 'record' ? place.offset : place;
  }
  /**
   * Looks at every recipient again: to be called when one was moved. The content is never in an older record than they
   * are, since it moves along with the first of them.
   */
  findOldest(): void {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { since } of this.recipients.values()) oldest = Math.min(oldest, since);
    this.oldestOffset = oldest;
  }
}

export const describeMessage = (head: MessageHead, intern: Interner): Omit<MessageFacts, 'home' | 'slot'> => ({
  envelope: new HeldEnvelope({ ...head.envelope, reversePath: intern.text(head.envelope.reversePath) }, intern.envelopeRest(head.envelope)),
  from: head.src === undefined ? undefined : intern.sourcePartition(head.src),
  fromOffset: head.src?.offset ?? 0,
  enqueuedAtMs: head.enqueuedAtMs,
  acceptedRecipients: head.acceptedRecipients,
  expandedRecipients: head.expandedRecipients,
  contentOctets: head.content?.octets ?? 0,
  place: placeOf(head),
  oldestOffset: head.offset,
});

export function createRecipient(message: HeldMessage, recipient: Recipient, o: { since: number; intern: Interner }): HeldRecipient {
  const nextHop = recipient.nextHop === undefined ? undefined : o.intern.nextHop(recipient.nextHop);
  const held = new HeldRecipient(message, { ...recipient, nextHop, since: o.since });
  if (recipient.verdict !== undefined) held.verdict = recipient.verdict;
  return held;
}

function placeOf({ content, offset }: Pick<MessageHead, 'content' | 'offset'>): Place {
  if (content?.place?.$case !== 'blobKey') return offset;
  return { in: 'blob', key: content.place.value, ownedByLane: content.laneBlob };
}

/** Where a record of this offset says that the content is; undefined when it says nothing. */
export function contentPlace(content: Content | undefined, offset: number): ContentPlace | undefined {
  if (content?.place === undefined) return undefined;
  const place = placeOf({ content, offset });
  return typeof place === 'number' ? { in: 'record', offset: place } : place;
}
