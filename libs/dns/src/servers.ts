import { getServers } from 'node:dns';
import { isIPv6 } from 'node:net';
import { type Answer, isReferral, MAX_ALIASES, type Reading, type RecordType, rcodeOf, readReply, TOO_MANY_ALIASES } from './answer.ts';
import { exchange, type Server, type Timing } from './exchange.ts';

export interface ServersOptions {
  /** "host:port" of each, IPv6 in brackets; empty: those of the system. */
  readonly servers: readonly string[];
  readonly timeoutMs: number;
  readonly rounds: number;
  readonly mixCase: boolean;
  /** How long it is remembered whether they work at all. */
  readonly failureTtlMs: number;
  readonly clock: Timing;
}

type Failed = Extract<Answer, { is: 'failed' }>;

/** What `getServers` gives has no port where it is the usual one. */
export function parseServer(text: string): Server {
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  if (isIPv6(text)) return { address: text, port: 53 };
  return { address: bracketed ?? plain ?? text, port: Number(port ?? 53) };
}

/** A resolver that answers so serves us. Any other code says that it does not like us or the question. */
const SERVES: ReadonlySet<string> = new Set(['NOERROR', 'NXDOMAIN', 'SERVFAIL']);

/**
 * Tells whether any of the servers works at all, by a question that each resolver can answer from memory: the name servers of the
 * root. What it found holds for `failureTtlMs`, so that an outage costs one question more in that time.
 */
function createControl(servers: readonly Server[], { clock, timeoutMs, failureTtlMs }: ServersOptions): () => Promise<boolean> {
  let asking: Promise<boolean> = Promise.resolve(false);
  let untilMs = Number.NEGATIVE_INFINITY;
  const works = async (server: Server): Promise<void> => {
    const result = await exchange({ name: '.', type: 'NS', edns: false, mixed: false }, { server, clock, timeoutMs });
    const isServed = 'packet' in result && SERVES.has(rcodeOf(result.packet)) && !isReferral(result.packet);
    if (!isServed) throw new Error(`${server.address} does not work`);
  };
  return () => {
    if (clock.nowMs() < untilMs) return asking;
    // Until it is answered it is not asked again.
    untilMs = Number.POSITIVE_INFINITY;
    asking = Promise.any(servers.map(works)).then(
      () => true,
      () => false,
    );
    void asking.then(() => {
      untilMs = clock.nowMs() + failureTtlMs;
    });
    return asking;
  };
}

/**
 * Asks the servers in order, the one that last answered first; SERVFAIL, REFUSED, a time-out or an unintelligible reply moves on
 * to the next, and when all have been through `rounds` times the question has failed. SERVFAIL is a word about the name. So is
 * silence or REFUSED from servers that work otherwise: many a resolver needs longer than we wait to find out that all name
 * servers of a domain are dead, and some refuse a name by policy.
 */
export function createServers(options: ServersOptions): <T extends RecordType>(name: string, type: T) => Promise<Answer<T>> {
  const servers = (options.servers.length > 0 ? options.servers : getServers()).map(parseServer);
  const works = createControl(servers, options);
  const withoutEdns = new Set<Server>();
  let preferred = 0;

  async function askOne<T extends RecordType>(server: Server, name: string, type: T): Promise<Reading<T>> {
    const edns = !withoutEdns.has(server);
    const { clock, timeoutMs, mixCase } = options;
    const result = await exchange({ name, type, edns, mixed: mixCase }, { server, clock, timeoutMs });
    if ('reason' in result) return { is: 'failed', reason: result.reason, ownFault: true };
    const rcode = rcodeOf(result.packet);
    if (edns && (rcode === 'FORMERR' || rcode === 'NOTIMP')) {
      // RFC 6891 §7: older than EDNS.
      withoutEdns.add(server);
      return askOne(server, name, type);
    }
    if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') return { is: 'failed', reason: rcode, ownFault: rcode !== 'SERVFAIL' };
    return readReply(result.packet, name, type);
  }

  async function askAll<T extends RecordType>(name: string, type: T): Promise<Reading<T>> {
    let failed: Failed = { is: 'failed', reason: 'no resolver is configured', ownFault: true };
    for (let attempt = 0; attempt < servers.length * options.rounds; attempt++) {
      const index = (preferred + attempt) % servers.length;
      const server = servers[index];
      if (!server) break;
      const reading = await askOne(server, name, type);
      if (reading.is !== 'failed') {
        preferred = index;
        return reading;
      }
      // What one of them said about the name stands, whatever the others do.
      if (failed.ownFault) failed = { ...reading, reason: `${server.address}: ${reading.reason}` };
    }
    return failed.ownFault ? { ...failed, ownFault: !(await works()) } : failed;
  }

  return async (name, type) => {
    let at = name;
    let ttlMs = Number.POSITIVE_INFINITY;
    let authenticated = true;
    for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
      const reading = await askAll(at, type);
      if (reading.is === 'failed') return reading;
      ttlMs = Math.min(ttlMs, reading.ttlMs);
      authenticated &&= reading.authenticated;
      if (reading.is !== 'alias') return { ...reading, ttlMs, authenticated };
      at = reading.name;
    }
    return TOO_MANY_ALIASES;
  };
}
