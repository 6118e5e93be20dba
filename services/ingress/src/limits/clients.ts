import { isIPv6 } from 'node:net';

const IPV4_MAPPED = /^::ffff:(?=\d+\.)/i;

/** IPv4 addresses that a dual-stack socket reports as IPv6, in their own form; others in lower case without a zone. */
export function plainAddress(address: string): string {
  return address.replace(IPV4_MAPPED, '').replace(/%.*$/, '').toLowerCase();
}

/** Whom a limit "per client" counts: an IPv4 address, or the /64 that one IPv6 customer is given. */
export function clientKey(address: string): string {
  if (!isIPv6(address)) return address;
  const [left = '', right] = address.split('::');
  const groups = left === '' ? [] : left.split(':');
  // An IPv4 tail stands for two groups, always behind the first 64 bits.
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const zeros = right === undefined ? 0 : Math.max(0, 8 - groups.length - tail.length - (right.includes('.') ? 1 : 0));
  const all = [...groups, ...Array<string>(zeros).fill('0'), ...tail];
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}

export interface Clients {
  readonly connections: number;
  /** Takes one connection into account; `undefined` at a cap. The returned function gives it back, once. */
  admit(key: string): (() => void) | undefined;
}

/** Connections in total and per client. Holds one entry per connected client. */
export function createClients(limits: { readonly maxConnections: number; readonly maxConnectionsPerClient: number }): Clients {
  const byClient = new Map<string, number>();
  let connections = 0;
  return {
    get connections() {
      return connections;
    },
    admit(key) {
      const own = byClient.get(key) ?? 0;
      if (connections >= limits.maxConnections || own >= limits.maxConnectionsPerClient) return undefined;
      byClient.set(key, own + 1);
      connections++;
      let isHeld = true;
      return () => {
        if (!isHeld) return;
        isHeld = false;
        connections--;
        const left = (byClient.get(key) ?? 1) - 1;
        if (left === 0) byClient.delete(key);
        else byClient.set(key, left);
      };
    },
  };
}
