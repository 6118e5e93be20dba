import { getServers } from 'node:dns';
import { isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { LRUCache } from 'lru-cache';
import { type Answer, MAX_ALIASES, plainName, type Reading, type RecordType, rcodeOf, readReply } from './answer.ts';
import { exchange, type Server, type Timing } from './exchange.ts';
import { addressesInTable, type Hosts } from './hosts.ts';

export interface ResolverOptions {
  /** "host:port" of each resolver, IPv6 in brackets; empty: those of the system. */
  readonly servers: readonly string[];
  /** Longest wait for one answer of one server. */
  readonly timeoutMs: number;
  readonly clock: Timing;
  /** How often the list of servers is gone through before a question has failed. */
  readonly rounds?: number;
  /** Answers kept. */
  readonly cacheEntries?: number;
  /** Bounds of the life of a cached answer. */
  readonly minTtlMs?: number;
  readonly maxTtlMs?: number;
  /** Longest life of "no such name" and "no such record" (RFC 2308 §5). */
  readonly maxNegativeTtlMs?: number;
  /** How long a failure is remembered, so that a dead resolver is not asked for each message (RFC 2308 §7). */
  readonly failureTtlMs?: number;
  /** Questions on the wire at once; a few more wait, the rest fail. */
  readonly maxInFlight?: number;
  readonly hosts?: Hosts;
  /** Random upper and lower case in questions, against forged answers; a few resolvers do not echo it. */
  readonly mixCase?: boolean;
}

export interface Resolver {
  /** Never rejects. Answers from the cache where it can; equal questions at once are asked once. */
  query<T extends RecordType>(name: string, type: T): Promise<Answer<T>>;
}

const DEFAULTS = {
  rounds: 2,
  cacheEntries: 20_000,
  minTtlMs: 5000,
  maxTtlMs: 86_400_000,
  maxNegativeTtlMs: 3_600_000,
  failureTtlMs: 5000,
  maxInFlight: 256,
  hosts: new Map() as Hosts,
  mixCase: false,
} as const;

/** Waiting questions per question on the wire; beyond it a question fails at once. */
const WAITING_PER_SLOT = 40;

/** In A-label form, lower case; undefined where it can be no name (RFC 1035 §2.3.4). */
function questionName(name: string): string | undefined {
  const plain = plainName(name);
  const ascii = /^[\x21-\x7e]*$/.test(plain) ? plain : domainToASCII(plain);
  const fits = ascii.length > 0 && ascii.length <= 253 && ascii.split('.').every((label) => label.length > 0 && label.length <= 63);
  return fits ? ascii : undefined;
}

function parseServer(text: string): Server {
  const match = /^\[?([0-9a-fA-F:.]+?)\]?(?::(\d+))?$/.exec(text);
  if (isIPv6(text) || !match?.[1]) return { address: text, port: 53 };
  return { address: match[1], port: Number(match[2] ?? 53) };
}

function createSlots(max: number) {
  let free = max;
  const waiting: (() => void)[] = [];
  return {
    /** False: too many wait already. */
    async take(): Promise<boolean> {
      if (free > 0) {
        free--;
        return true;
      }
      if (waiting.length >= max * WAITING_PER_SLOT) return false;
      await new Promise<void>((resolve) => waiting.push(resolve));
      return true;
    },
    give(): void {
      const next = waiting.shift();
      if (next) next();
      else free++;
    },
  };
}

interface Kept {
  readonly answer: Answer;
  readonly untilMs: number;
}

/**
 * A stub resolver with a cache. Servers are asked in order, the one that last answered first; SERVFAIL, REFUSED, a time-out
 * or an unintelligible reply moves on to the next, and when all have been through `rounds` times the question has failed.
 */
export function createResolver(given: ResolverOptions): Resolver {
  const options = { ...DEFAULTS, ...given };
  const { clock } = options;
  const servers = (options.servers.length > 0 ? options.servers : getServers()).map(parseServer);
  const cache = new LRUCache<string, Kept>({ max: options.cacheEntries });
  const inFlight = new Map<string, Promise<Answer>>();
  const slots = createSlots(options.maxInFlight);
  const withoutEdns = new Set<Server>();
  let preferred = 0;

  async function askServer<T extends RecordType>(server: Server, name: string, type: T): Promise<Reading<T>> {
    const edns = !withoutEdns.has(server);
    const { timeoutMs, mixCase } = options;
    const result = await exchange({ name, type, edns }, { server, clock, timeoutMs, mixCase });
    if ('reason' in result) return { is: 'failed', reason: result.reason };
    const rcode = rcodeOf(result.packet);
    if (edns && (rcode === 'FORMERR' || rcode === 'NOTIMP')) {
      withoutEdns.add(server);
      return askServer(server, name, type);
    }
    if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') return { is: 'failed', reason: rcode };
    return readReply(result.packet, name, type);
  }

  async function askServers<T extends RecordType>(name: string, type: T): Promise<Reading<T>> {
    let reason = 'no resolver is configured';
    for (let attempt = 0; attempt < servers.length * options.rounds; attempt++) {
      const index = (preferred + attempt) % servers.length;
      const server = servers[index];
      if (!server) break;
      const reading = await askServer(server, name, type);
      if (reading.is !== 'failed') {
        preferred = index;
        return reading;
      }
      reason = `${server.address}: ${reading.reason}`;
    }
    return { is: 'failed', reason };
  }

  async function ask<T extends RecordType>(name: string, type: T): Promise<Answer<T>> {
    let at = name;
    let ttlMs = Number.POSITIVE_INFINITY;
    let authenticated = true;
    for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
      const reading = await askServers(at, type);
      if (reading.is === 'failed') return reading;
      ttlMs = Math.min(ttlMs, reading.ttlMs);
      authenticated &&= reading.authenticated;
      if (reading.is !== 'alias') return { ...reading, ttlMs, authenticated };
      at = reading.name;
    }
    return { is: 'failed', reason: `more than ${MAX_ALIASES} aliases` };
  }

  function lifeMs(answer: Answer): number {
    if (answer.is === 'failed') return options.failureTtlMs;
    const longest = answer.is === 'found' ? options.maxTtlMs : options.maxNegativeTtlMs;
    return Math.min(Math.max(answer.ttlMs, options.minTtlMs), longest);
  }

  async function askAndKeep(key: string, name: string, type: RecordType): Promise<Answer> {
    if (!(await slots.take())) return { is: 'failed', reason: 'too many questions at once' };
    try {
      const answer = await ask(name, type);
      cache.set(key, { answer, untilMs: clock.nowMs() + lifeMs(answer) });
      return answer;
    } finally {
      slots.give();
      inFlight.delete(key);
    }
  }

  function fromTable(addresses: readonly string[], type: RecordType): Answer {
    const records = type === 'MX' ? [] : addresses.filter((address) => isIPv6(address) === (type === 'AAAA'));
    const common = { ttlMs: options.maxTtlMs, authenticated: false };
    return records.length > 0 ? { is: 'found', records, ...common } : { is: 'nodata', ...common };
  }

  function answerTo(name: string, type: RecordType): Answer | Promise<Answer> {
    const asked = questionName(name);
    if (asked === undefined) return { is: 'nxdomain', ttlMs: options.maxNegativeTtlMs, authenticated: false };
    const inTable = addressesInTable(options.hosts, asked);
    if (inTable) return fromTable(inTable, type);
    const key = `${type} ${asked}`;
    const kept = cache.get(key);
    const leftMs = kept ? kept.untilMs - clock.nowMs() : 0;
    if (kept && leftMs > 0) return kept.answer.is === 'failed' ? kept.answer : { ...kept.answer, ttlMs: leftMs };
    const asking = inFlight.get(key) ?? askAndKeep(key, asked, type);
    inFlight.set(key, asking);
    return asking;
  }

  return { query: async <T extends RecordType>(name: string, type: T) => (await answerTo(name, type)) as Answer<T> };
}
