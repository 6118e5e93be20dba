import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';
import type { Answer, RecordType } from './answer.ts';
import type { Timing } from './exchange.ts';
import { addressesInTable, type Hosts } from './hosts.ts';
import { asciiName } from './name.ts';
import { createServers } from './servers.ts';

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
  /** Called for each question that went to the servers, with the time until its answer; not for those that the cache answers. */
  readonly observe?: (outcome: Answer['is'], seconds: number) => void;
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
  observe: () => {},
} as const;

/** Waiting questions per question on the wire; beyond it a question fails at once. */
const WAITING_PER_SLOT = 40;

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

function fromTable(addresses: readonly string[], type: RecordType, ttlMs: number): Answer {
  const records = type === 'MX' ? [] : addresses.filter((address) => isIPv6(address) === (type === 'AAAA'));
  return records.length > 0 ? { is: 'found', records, ttlMs, authenticated: false } : { is: 'nodata', ttlMs, authenticated: false };
}

/** A stub resolver with a bounded cache over the configured servers (RFC 1034 §5.3.1). */
export function createResolver(given: ResolverOptions): Resolver {
  const options = { ...DEFAULTS, ...given };
  const { clock } = options;
  const ask = createServers(options);
  const cache = new LRUCache<string, Kept>({ max: options.cacheEntries });
  const inFlight = new Map<string, Promise<Answer>>();
  const slots = createSlots(options.maxInFlight);

  function lifeMs(answer: Answer): number {
    if (answer.is === 'failed') return options.failureTtlMs;
    const longest = answer.is === 'found' ? options.maxTtlMs : options.maxNegativeTtlMs;
    return Math.min(Math.max(answer.ttlMs, options.minTtlMs), longest);
  }

  async function askAndKeep(key: string, name: string, type: RecordType): Promise<Answer> {
    try {
      if (!(await slots.take())) return { is: 'failed', reason: 'too many questions at once', ownFault: true };
      const startedMs = performance.now();
      const answer = await ask(name, type).finally(slots.give);
      options.observe(answer.is, (performance.now() - startedMs) / 1000);
      const ttlMs = lifeMs(answer);
      cache.set(key, { answer, untilMs: clock.nowMs() + ttlMs });
      return answer.is === 'failed' ? answer : { ...answer, ttlMs };
    } finally {
      inFlight.delete(key);
    }
  }

  function answerTo(name: string, type: RecordType): Answer | Promise<Answer> {
    const asked = asciiName(name);
    if (asked === undefined) return { is: 'nxdomain', ttlMs: options.maxNegativeTtlMs, authenticated: false };
    const inTable = addressesInTable(options.hosts, asked);
    if (inTable) return fromTable(inTable, type, options.maxTtlMs);
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
