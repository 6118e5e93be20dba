import type { DecodedPacket, SoaData, Answer as WireAnswer } from 'dns-packet';
import { plainName } from './name.ts';

/** What a record of each type is read as. Names are lower case, without the final dot; the root is "". */
export interface RecordData {
  readonly A: string;
  readonly AAAA: string;
  readonly MX: { readonly preference: number; readonly exchange: string };
}
export type RecordType = keyof RecordData;

/**
 * Answer to one question. `ttlMs` is how long it stays true. `authenticated` is the resolver's AD bit: worth something only
 * where the way to that resolver is trusted (RFC 6840 §5.8). `failed` says nothing final about the name: nobody's mail may
 * bounce by it at once. `ownFault`: our resolvers are the trouble; else one of them has said that it cannot find out, or works
 * for other names, and the trouble lies with the name's own servers.
 */
export type Answer<T extends RecordType = RecordType> =
  | { readonly is: 'found'; readonly records: readonly RecordData[T][]; readonly ttlMs: number; readonly authenticated: boolean }
  | { readonly is: 'nodata' | 'nxdomain'; readonly ttlMs: number; readonly authenticated: boolean }
  | { readonly is: 'failed'; readonly reason: string; readonly ownFault: boolean };

/** One reply, before the chain of aliases is at its end: `alias` names what must be asked next. */
export type Reading<T extends RecordType> =
  | Answer<T>
  | { readonly is: 'alias'; readonly name: string; readonly ttlMs: number; readonly authenticated: boolean };

/** Longest chain of CNAME records that is followed. */
export const MAX_ALIASES = 8;

/** Whoever runs the names made that chain. */
export const TOO_MANY_ALIASES = { is: 'failed', reason: `more than ${MAX_ALIASES} aliases`, ownFault: false } as const;

/** Used where a negative answer brings no SOA record to say how long it holds (RFC 2308 §5). */
const NEGATIVE_TTL_S = 60;

const READERS: { readonly [T in RecordType]: (answer: WireAnswer) => RecordData[T] | undefined } = {
  A: (answer) => (answer.type === 'A' ? answer.data : undefined),
  AAAA: (answer) => (answer.type === 'AAAA' ? answer.data : undefined),
  MX: (answer) =>
    answer.type === 'MX' ? { preference: answer.data.preference ?? 0, exchange: plainName(answer.data.exchange) } : undefined,
};

/** The decoder sets it; its types do not say so. */
export const rcodeOf = (packet: DecodedPacket): string => (packet as { readonly rcode?: string }).rcode ?? '';

const ttlOf = (answer: WireAnswer): number => ('ttl' in answer ? (answer.ttl ?? 0) : 0);

function negativeTtlS(packet: DecodedPacket): number {
  const soa = packet.authorities?.find((answer) => answer.type === 'SOA');
  if (!soa) return NEGATIVE_TTL_S;
  return Math.min(ttlOf(soa), (soa.data as SoaData).minimum ?? NEGATIVE_TTL_S);
}

/**
 * Whether it says nothing but whom else to ask: what a server answers that does not look further for us. "No such record" has an
 * SOA record or nothing at all (RFC 2308 §2.2).
 */
export function isReferral({ answers = [], authorities = [], flag_aa }: DecodedPacket): boolean {
  return (
    !flag_aa && answers.length === 0 && authorities.some(({ type }) => type === 'NS') && authorities.every(({ type }) => type !== 'SOA')
  );
}

/**
 * Reads the reply to a question about `name`, following the aliases that it brings along. The chain's shortest life is the
 * answer's. Linear in the reply, which the wire bounds at 64 KiB.
 */
export function readReply<T extends RecordType>(packet: DecodedPacket, name: string, type: T): Reading<T> {
  const answers = packet.answers ?? [];
  const authenticated = packet.flag_ad;
  let at = plainName(name);
  let ttlS = Number.POSITIVE_INFINITY;
  for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
    const here = answers.filter((answer) => plainName(answer.name) === at);
    const found = here.filter((answer) => answer.type === type);
    if (found.length > 0) {
      const read = READERS[type];
      const records = found.map(read).filter((record): record is RecordData[T] => record !== undefined);
      return { is: 'found', records, ttlMs: Math.min(ttlS, ...found.map(ttlOf)) * 1000, authenticated };
    }
    const alias = here.find((answer) => answer.type === 'CNAME');
    if (alias?.type !== 'CNAME') {
      const negativeMs = Math.min(ttlS, negativeTtlS(packet)) * 1000;
      if (rcodeOf(packet) === 'NXDOMAIN') return { is: 'nxdomain', ttlMs: negativeMs, authenticated };
      if (isReferral(packet)) return { is: 'failed', reason: 'a referral, no answer', ownFault: true };
      if (at === plainName(name) || packet.authorities?.some((answer) => answer.type === 'SOA'))
        return { is: 'nodata', ttlMs: negativeMs, authenticated };
      return { is: 'alias', name: at, ttlMs: ttlS * 1000, authenticated };
    }
    ttlS = Math.min(ttlS, ttlOf(alias));
    at = plainName(alias.data);
  }
  return TOO_MANY_ALIASES;
}
