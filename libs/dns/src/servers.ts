import { getServers } from 'node:dns';
import { isIPv6 } from 'node:net';
import { type Answer, MAX_ALIASES, type Reading, type RecordType, rcodeOf, readReply, TOO_MANY_ALIASES } from './answer.ts';
import { exchange, type Server, type Timing } from './exchange.ts';

export interface ServersOptions {
  /** "host:port" of each, IPv6 in brackets; empty: those of the system. */
  readonly servers: readonly string[];
  readonly timeoutMs: number;
  readonly rounds: number;
  readonly mixCase: boolean;
  readonly clock: Timing;
}

type Failed = Extract<Answer, { is: 'failed' }>;

/** What `getServers` gives has no port where it is the usual one. */
export function parseServer(text: string): Server {
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  if (isIPv6(text)) return { address: text, port: 53 };
  return { address: bracketed ?? plain ?? text, port: Number(port ?? 53) };
}

/**
 * Asks the servers in order, the one that last answered first; SERVFAIL, REFUSED, a time-out or an unintelligible reply moves on
 * to the next, and when all have been through `rounds` times the question has failed.
 */
export function createServers(options: ServersOptions): <T extends RecordType>(name: string, type: T) => Promise<Answer<T>> {
  const servers = (options.servers.length > 0 ? options.servers : getServers()).map(parseServer);
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
    return failed;
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
