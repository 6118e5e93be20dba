import type { LiveMessage, LiveMessages, LiveRecipient } from '@angarium/lanes';

/** Recipients of one attempt, from its start until its outcome was read back. */
export interface Flight {
  readonly attemptId: string;
  /** Not concluded yet. */
  active: boolean;
  /** The final dot went out and was not answered. */
  dotted: boolean;
  /** A final dot went out at some time. */
  sent: boolean;
  /** Key and title of the site; empty: none was asked. */
  readonly site: string;
  readonly title: string;
  /** No host of the site could be spoken to. */
  failed: boolean;
}

/** The same for whatever object the fold gives for a message. */
export const messageKey = ({ home, queueId }: LiveMessage): string => `${home.lane} ${queueId}`;

/** Recipients as their fold knows them now, without those that are no more. */
export const asNow = (recipients: readonly LiveRecipient[]): readonly LiveRecipient[] =>
  recipients.flatMap(({ message, address }) => message.home.get(message.queueId)?.recipients.get(address) ?? []);

type Entry = readonly [LiveRecipient, Flight];

/**
 * Recipients that are in flight, by their fold and their names: the fold may give another object for one each time, and another
 * tenure of a lane has another fold.
 */
export interface Flights {
  readonly size: number;
  has(recipient: LiveRecipient): boolean;
  get(recipient: LiveRecipient): Flight | undefined;
  set(recipient: LiveRecipient, flight: Flight): void;
  delete(recipient: LiveRecipient): void;
  values(): Iterable<Flight>;
  entries(): Iterable<Entry>;
}

const keyOf = ({ message, address }: LiveRecipient): string => `${message.queueId} ${address}`;

export function createFlights(): Flights {
  const byHome = new Map<LiveMessages, Map<string, Entry>>();
  let size = 0;
  const entryOf = (recipient: LiveRecipient): Entry | undefined => byHome.get(recipient.message.home)?.get(keyOf(recipient));
  const remove = (recipient: LiveRecipient): void => {
    const { home } = recipient.message;
    const entries = byHome.get(home);
    if (entries?.delete(keyOf(recipient))) size--;
    if (entries?.size === 0) byHome.delete(home);
  };
  const entries = function* (): Iterable<Entry> {
    for (const some of byHome.values()) yield* some.values();
  };
  return {
    get size() {
      return size;
    },
    has: (recipient) => entryOf(recipient) !== undefined,
    get: (recipient) => entryOf(recipient)?.[1],
    set(recipient, flight) {
      remove(recipient);
      const { home } = recipient.message;
      const its = byHome.get(home) ?? new Map<string, Entry>();
      byHome.set(home, its.set(keyOf(recipient), [recipient, flight]));
      size++;
    },
    delete: remove,
    *values() {
      for (const [, flight] of entries()) yield flight;
    },
    entries,
  };
}
