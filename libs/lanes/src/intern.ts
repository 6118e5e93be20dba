import { type Envelope, type NextHop, NextHopKind, type RecipientOutcome, type Reply, type Source } from '@angarium/records';
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

/** Forgets what was not asked for lately: what is in use stays in use, only sharing starts anew. */
function createTable<V>(): (key: string, make: () => V) => V {
  let young = new Map<string, V>();
  let old = new Map<string, V>();
  return (key, make) => {
    const known = young.get(key);
    if (known !== undefined) return known;
    if (young.size >= CAPACITY) {
      old = young;
      young = new Map();
    }
    const value = old.get(key) ?? make();
    young.set(key, value);
    return value;
  };
}

const replyKey = (reply: Reply | undefined) =>
  reply === undefined ? '' : `${reply.code}\n${reply.enhanced}\n${reply.remoteHost}\n${reply.text}`;

export function createInterner(): Interner {
  const texts = createTable<string>();
  const exchangers = createTable<NextHop>();
  const otherHops = createTable<NextHop>();
  const partitions = createTable<SourcePartition>();
  const rests = createTable<EnvelopeRest>();
  const outcomes = createTable<LastOutcome>();
  const text = (value: string) => (value === '' ? '' : texts(value, () => value));
  return {
    text,
    nextHop(hop) {
      if (hop.kind === NextHopKind.MX && hop.account === '') return exchangers(hop.name, () => hop);
      return otherHops(`${hop.kind} ${hop.name} ${hop.account}`, () => hop);
    },
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
