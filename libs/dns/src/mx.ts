import { isIP } from 'node:net';
import { isReservedAddress, parseAddressLiteral } from './address.ts';
import type { Answer } from './answer.ts';
import { asciiName } from './name.ts';
import type { Resolver } from './resolver.ts';

/** A host that takes a domain's mail. */
export interface MxHost {
  readonly name: string;
  readonly preference: number;
  /** In the order in which to try them; at least one. */
  readonly addresses: readonly string[];
}

/**
 * Where a domain's mail goes. `bounced`: the domain itself says that it takes none. `deferred`: it cannot be known now, by
 * `ownFault` because our resolvers are in trouble, else because the domain's name servers are. Codes and texts are ready for a
 * reply.
 */
export type MxPlan =
  | {
      readonly is: 'hosts';
      /** Best first, equal ones in random order; at least one. */
      readonly hosts: readonly MxHost[];
      /** Sorted MX names: equal for all domains that share them. */
      readonly site: string;
      readonly ttlMs: number;
      /** Names and addresses all came with the AD bit. */
      readonly authenticated: boolean;
    }
  | { readonly is: 'bounced'; readonly code: number; readonly enhanced: string; readonly text: string; readonly ttlMs: number }
  | { readonly is: 'deferred'; readonly code: number; readonly enhanced: string; readonly text: string; readonly ownFault: boolean };

export interface MxOptions {
  readonly random: () => number;
  /** Our own names, lower case: mail is never sent to ourselves or past ourselves (RFC 5321 §5.1). */
  readonly ownNames: readonly string[];
  /** Whether hosts at loopback or private addresses count. */
  readonly reservedAddresses: 'refuse' | 'allow';
  /** Best hosts looked at. */
  readonly maxHosts?: number;
  /** Addresses kept over all hosts. */
  readonly maxAddresses?: number;
}

const MAX_HOSTS = 10;
const MAX_ADDRESSES = 20;
/** Names that make up the key of a site: a hostile zone may list thousands. */
const MAX_SITE_NAMES = 20;
/** Longest life of a plan from which a host is missing because its lookup failed. */
const INCOMPLETE_TTL_MS = 60_000;
/** For what no record's life bounds: an address literal. */
const LITERAL_TTL_MS = 3_600_000;

type Failed = Extract<Answer, { is: 'failed' }>;
type Bounce = Extract<MxPlan, { is: 'bounced' }>;
type Names = {
  readonly names: readonly { readonly name: string; readonly preference: number }[];
  readonly site: string;
  readonly ttlMs: number;
  readonly authenticated: boolean;
};

const bounce = (code: number, enhanced: string, text: string, ttlMs: number): Bounce => ({ is: 'bounced', code, enhanced, text, ttlMs });
const nameTrouble = (name: string, { reason, ownFault }: Failed): MxPlan => ({
  is: 'deferred',
  code: 451,
  enhanced: '4.4.3',
  text: `name server trouble while looking up ${name}: ${reason}`,
  ownFault,
});

/** Fisher-Yates, a copy. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const left = [...items];
  const result: T[] = [];
  while (left.length > 0) result.push(...left.splice(Math.floor(random() * left.length), 1));
  return result;
}

/** Best preference first; equal ones in random order, so that load spreads over them (RFC 5321 §5.1). */
export const inOrder = <T extends { readonly preference: number }>(hosts: readonly T[], random: () => number): T[] =>
  shuffled(hosts, random).sort((a, b) => a.preference - b.preference);

/** What may stand in a log line and be looked up; an address in place of a name is no host (RFC 5321 §5.1). */
const isHostName = (name: string): boolean => isIP(name) === 0 && asciiName(name) === name && /^[a-z0-9_.-]+$/.test(name);

/** Names of the hosts to try, from the domain's MX records (RFC 5321 §5.1, RFC 7505 §3). */
function hostNames(domain: string, answer: Answer<'MX'>, options: MxOptions): Names | MxPlan {
  if (answer.is === 'failed') return nameTrouble(domain, answer);
  const { ttlMs, authenticated } = answer;
  if (answer.is === 'nxdomain') return bounce(550, '5.1.2', `${domain} does not exist`, ttlMs);
  const records = answer.is === 'found' ? answer.records : [];
  const listed = records
    .map(({ exchange, preference }) => ({ name: exchange, preference }))
    .filter(({ name }) => name === '' || isHostName(name));
  if (records.length === 1 && listed[0]?.name === '') return bounce(556, '5.1.10', `${domain} accepts no mail (null MX)`, ttlMs);
  const named = answer.is === 'found' ? listed.filter(({ name }) => name !== '') : [{ name: domain, preference: 0 }];
  const own = Math.min(...named.filter(({ name }) => options.ownNames.includes(name)).map(({ preference }) => preference));
  const names = named.filter(({ preference }) => preference < own);
  if (named.length > 0 && names.length === 0) return bounce(554, '5.4.6', `mail for ${domain} loops back to us`, ttlMs);
  // A name that is listed twice counts where it stands best.
  const best = new Map(names.toSorted((a, b) => b.preference - a.preference).map((host) => [host.name, host]));
  const listedBest = [...best.values()];
  const site = listedBest
    .toSorted((a, b) => a.preference - b.preference || (a.name < b.name ? -1 : 1))
    .slice(0, MAX_SITE_NAMES)
    .map(({ name }) => name)
    .sort()
    .join(' ');
  return { names: inOrder(listedBest, options.random).slice(0, options.maxHosts ?? MAX_HOSTS), site, ttlMs, authenticated };
}

/** Takes turns between both lists, the first one first. */
function interleaved(first: readonly string[], second: readonly string[]): string[] {
  return Array.from({ length: Math.max(first.length, second.length) }, (_, index) => [first[index], second[index]])
    .flat()
    .filter((address) => address !== undefined);
}

export type HostAddresses =
  | { readonly is: 'found'; readonly addresses: readonly string[]; readonly ttlMs: number; readonly authenticated: boolean }
  | { readonly is: 'none'; readonly ttlMs: number }
  | Failed;

/** Of several failures the one that tells most: about the name, not about us. */
const tellingOf = <T extends { readonly ownFault: boolean }>(failures: readonly T[]): T | undefined =>
  failures.find(({ ownFault }) => !ownFault) ?? failures[0];

/** Both families asked at once; IPv6 and IPv4 take turns, so that a broken family costs one try (RFC 8305 §4). */
export async function resolveAddresses(
  resolver: Resolver,
  host: string,
  options: Pick<MxOptions, 'random' | 'reservedAddresses'>,
): Promise<HostAddresses> {
  const [six, four] = await Promise.all([resolver.query(host, 'AAAA'), resolver.query(host, 'A')]);
  const usable = (answer: Answer<'A'> | Answer<'AAAA'>): string[] =>
    answer.is === 'found'
      ? shuffled([...new Set(answer.records)], options.random).filter(
          (address) => options.reservedAddresses === 'allow' || !isReservedAddress(address),
        )
      : [];
  const addresses = interleaved(usable(six), usable(four));
  const answered = [six, four].filter((answer) => answer.is !== 'failed');
  const ttlMs = Math.min(...answered.map((answer) => answer.ttlMs));
  if (addresses.length > 0) return { is: 'found', addresses, ttlMs, authenticated: answered.every((answer) => answer.authenticated) };
  return tellingOf([six, four].filter((answer) => answer.is === 'failed')) ?? { is: 'none', ttlMs };
}

function literalPlan(domain: string, options: MxOptions): MxPlan {
  const address = parseAddressLiteral(domain);
  if (address === undefined) return bounce(550, '5.1.2', `${domain} is no address we can reach`, LITERAL_TTL_MS);
  if (options.reservedAddresses === 'refuse' && isReservedAddress(address))
    return bounce(550, '5.4.4', `${domain} is a reserved address`, LITERAL_TTL_MS);
  const site = domain.toLowerCase();
  return { is: 'hosts', hosts: [{ name: site, preference: 0, addresses: [address] }], site, ttlMs: LITERAL_TTL_MS, authenticated: false };
}

/**
 * Plans the delivery to a domain or address literal. Asks for the MX records, then for the addresses of all hosts at once.
 * Hosts without addresses are left out; when none is left, the answer is `deferred` if any lookup failed, else `bounced`.
 */
export async function planMx(resolver: Resolver, domain: string, options: MxOptions): Promise<MxPlan> {
  if (domain.startsWith('[')) return literalPlan(domain, options);
  const name = asciiName(domain);
  if (name === undefined) return bounce(550, '5.1.2', 'the domain is no name that could exist', LITERAL_TTL_MS);
  const found = hostNames(name, await resolver.query(name, 'MX'), options);
  if ('is' in found) return found;
  const resolved = await Promise.all(
    found.names.map(async (host) => ({ ...host, result: await resolveAddresses(resolver, host.name, options) })),
  );
  const hosts: MxHost[] = [];
  let { ttlMs, authenticated } = found;
  let room = options.maxAddresses ?? MAX_ADDRESSES;
  for (const { name: hostName, preference, result } of resolved) {
    ttlMs = Math.min(ttlMs, result.is === 'failed' ? INCOMPLETE_TTL_MS : result.ttlMs);
    if (result.is !== 'found' || room === 0) continue;
    const addresses = result.addresses.slice(0, room);
    room -= addresses.length;
    authenticated &&= result.authenticated;
    hosts.push({ name: hostName, preference, addresses });
  }
  if (hosts.length > 0) {
    return { is: 'hosts', hosts, site: found.site, ttlMs, authenticated };
  }
  const failed = tellingOf(resolved.flatMap(({ name: host, result }) => (result.is === 'failed' ? [{ ...result, host }] : [])));
  if (failed) return nameTrouble(failed.host, failed);
  return bounce(550, '5.4.4', `no host that takes mail for ${name} has a usable address`, ttlMs);
}
