import type { Envelope, NextHop, RecipientOutcome, Reply, Source } from '@angarium/records';
import type { LiveRecipient } from './live.ts';

const CAPACITY = 4096;

type LastOutcome = NonNullable<LiveRecipient['lastOutcome']>;

/** What a message's records share with those of others: only the topic, partition and incarnation of its source. */
export type SourcePartition = Omit<Source, 'offset'>;

/** Everything of an envelope that is mostly the same for all mail of one client. */
export type EnvelopeRest = Omit<Envelope, 'queueId' | 'reversePath' | 'acceptedAtMs' | 'messageId'>;

/** Equal values become the same object, so that a million waiting messages do not keep a million copies. */
export interface Interner {
  text(value: string): string;
  nextHop(hop: NextHop): NextHop;
  sourcePartition(source: Source): SourcePartition;
  envelopeRest(envelope: Envelope): EnvelopeRest;
  outcome(outcome: Pick<RecipientOutcome, 'result' | 'reply' | 'relayed' | 'remoteHost'>): LastOutcome;
}

/** Forgets everything when full: what is in use stays in use, only sharing starts anew. */
function createTable<V>(): (key: string, make: () => V) => V {
  const table = new Map<string, V>();
  return (key, make) => {
    const known = table.get(key);
    if (known !== undefined) return known;
    if (table.size >= CAPACITY) table.clear();
    const value = make();
    table.set(key, value);
    return value;
  };
}

const replyKey = (reply: Reply | undefined) =>
  reply === undefined ? '' : `${reply.code}\n${reply.enhanced}\n${reply.remoteHost}\n${reply.text}`;

export function createInterner(): Interner {
  const texts = createTable<string>();
  const hops = createTable<NextHop>();
  const partitions = createTable<SourcePartition>();
  const rests = createTable<EnvelopeRest>();
  const outcomes = createTable<LastOutcome>();
  const text = (value: string) => (value === '' ? '' : texts(value, () => value));
  return {
    text,
    nextHop: (hop) => hops(`${hop.kind} ${hop.name} ${hop.account}`, () => hop),
    sourcePartition: ({ topic, partition, incarnation }) =>
      partitions(`${topic} ${partition} ${incarnation}`, () => ({ topic, partition, incarnation })),
    envelopeRest(envelope) {
      const { envid, ret, bodyType, smtputf8, headerUtf8, tenant, priority, parentQueueId, traceparent } = envelope;
      const make = () => ({ envid, ret, bodyType, smtputf8, headerUtf8, tenant: text(tenant), priority, parentQueueId, traceparent });
      if (envid !== '' || parentQueueId !== '' || traceparent !== '') return make();
      return rests(`${ret} ${bodyType} ${smtputf8} ${headerUtf8} ${priority} ${tenant}`, make);
    },
    outcome: ({ result, reply, relayed, remoteHost }) =>
      outcomes(`${result} ${relayed} ${remoteHost}\n${replyKey(reply)}`, () => ({ result, reply, relayed, remoteHost })),
  };
}
