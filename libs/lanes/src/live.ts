import type { Content, Envelope, NextHop, RecipientOutcome, Reply, Source, Verdict } from '@angarium/records';

/** A record of a lane, decoded. */
export interface LaneRecord<K> {
  readonly offset: number;
  readonly appendedAtMs: number;
  /** Octets of the record's value. */
  readonly octets: number;
  readonly kind: K;
}

/** Where a message's content is: in its own record of this lane, or a blob. */
export type ContentPlace =
  | { readonly in: 'record'; readonly offset: number }
  | { readonly in: 'blob'; readonly key: string; readonly ownedByLane: boolean };

/**
 * Messages by queue id. What they give is what the fold knows at that moment: it may be another object each time, and one that is
 * kept need not follow what comes later. Ask again by the name.
 */
export interface LiveMessages {
  /** Number of the lane. */
  readonly lane: number;
  readonly size: number;
  has(queueId: string): boolean;
  get(queueId: string): LiveMessage | undefined;
  at(slot: number): LiveMessage | undefined;
  /** The one with the oldest needed record first. Not to be gone on with after the next record. */
  values(): Iterable<LiveMessage>;
}

/** A message with recipients of this lane that are not done. Fields are changed by the fold alone. */
export interface LiveMessage {
  /** The messages that it is one of. */
  readonly home: LiveMessages;
  /** A small number that no other message of the lane has while this one is live. */
  readonly slot: number;
  readonly queueId: string;
  readonly envelope: Envelope;
  readonly src: Source | undefined;
  readonly enqueuedAtMs: number;
  content: ContentPlace;
  /** Oldest record without which this message could not be rebuilt. */
  oldestOffset: number;
  readonly contentOctets: number;
  readonly acceptedRecipients: number;
  readonly expandedRecipients: number;
  /** By address; waiting and notifying ones, not the finished ones. */
  readonly recipients: ReadonlyMap<string, LiveRecipient>;
}

export interface LiveRecipient {
  readonly message: LiveMessage;
  readonly address: string;
  readonly ordinal: number;
  readonly notify: number;
  readonly orcpt: string;
  readonly nextHop: NextHop | undefined;
  /** Routing could not place it: to be concluded with this, without an attempt. */
  readonly verdict: Verdict | undefined;
  /** `waiting`: not final. `notifying`: final, and its DSN is not known to be durable. */
  state: 'waiting' | 'notifying';
  /** 0: at once. */
  dueAtMs: number;
  attempts: number;
  delayNotified: boolean;
  /** Nothing is sent before this instant: an `InDoubt` record holds it. 0: not held. */
  heldUntilMs: number;
  /** An operator ordered its expiry: to be concluded as expired at once, without an attempt and whatever is suspended. */
  expiryForced: boolean;
  /** DSN asked for by the winning fact (notifying) or by the last deferral (waiting); empty: none pending. */
  notifyId: string;
  /** Lane table that was in force when the DSN was asked for: every try of it goes by that one. 0: not known. */
  notifyTableVersion: number;
  /** Last outcome that counted; kept for the DSN and the queue tools. */
  lastOutcome:
    | {
        readonly result: RecipientOutcome['result'];
        readonly reply: Reply | undefined;
        readonly relayed: boolean;
        readonly remoteHost: string;
      }
    | undefined;
}

/** A final fact that won. */
export interface Finished {
  readonly recipient: LiveRecipient;
  readonly result: RecipientOutcome['result'];
}

/** What one record changed. Lists are empty, never absent. */
export interface Change {
  readonly admitted: readonly LiveRecipient[];
  readonly rescheduled: readonly LiveRecipient[];
  readonly finished: readonly Finished[];
  /** DSNs that are now asked for: every recipient whose winning fact names the id. */
  readonly notificationsAsked: readonly string[];
  readonly notificationsDone: readonly string[];
  /** Messages of which nothing is live any more; a lane blob may be deleted. */
  readonly ended: readonly LiveMessage[];
  /** Second "delivered" facts of recipients that were delivered before. */
  readonly duplicates: number;
}

/** Counts over everything that this fold was given; records trimmed before its start are not in it. */
export interface LaneTotals {
  enqueued: number;
  delivered: number;
  bounced: number;
  expired: number;
  discarded: number;
  /** Second "delivered" of another attempt: the receiver has it twice. */
  duplicates: number;
  /** Final facts that lost against an earlier one of another kind. */
  contradicted: number;
}

export type { Content };
