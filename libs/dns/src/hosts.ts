import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

/** Addresses of names that are not asked for: IPv4 and IPv6 mixed, by lower-case name. */
export type Hosts = ReadonlyMap<string, readonly string[]>;

/** RFC 6761 §6.3: never asked of a resolver. */
const LOOPBACK = ['127.0.0.1', '::1'];

/** "address name name # comment", a line each; what is not that is passed over. */
export function parseHosts(text: string): Hosts {
  const hosts = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (!address || isIP(address) === 0) continue;
    for (const name of names) hosts.set(name.toLowerCase(), [...(hosts.get(name.toLowerCase()) ?? []), address]);
  }
  return hosts;
}

/** This machine's table, read once; empty where there is none. */
export function systemHosts(file = '/etc/hosts'): Hosts {
  try {
    return parseHosts(readFileSync(file, 'utf8'));
  } catch {
    return new Map();
  }
}

export function addressesInTable(hosts: Hosts, name: string): readonly string[] | undefined {
  const found = hosts.get(name);
  if (found) return found;
  return name === 'localhost' || name.endsWith('.localhost') ? LOOPBACK : undefined;
}
