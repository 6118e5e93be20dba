import { isIPv6 } from 'node:net';

const IPV4_MAPPED = /^::ffff:(?=\d+\.)/i;

/** IPv4 addresses that a dual-stack socket reports as IPv6, in their own form; others in lower case without a zone. */
export function plainAddress(address: string): string {
  return address.replace(IPV4_MAPPED, '').replace(/%.*$/, '').toLowerCase();
}

/** Whom a limit "per client" counts, by plain address: an IPv4 address, or the /64 that one IPv6 customer is given. */
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

export interface Guesses {
  /** Counts a try as wrong until `right` is called; false: the client has used up its window, do not look. */
  begin(client: string): boolean;
  right(client: string): void;
}

const MAX_CLIENTS = 10_000;

/**
 * Wrong passwords per client, in a window that begins with its first try. A try counts from its start, so that parallel
 * sessions do not get more of them. Remembers 10,000 clients; the oldest window is forgotten first.
 */
export function createGuesses(limits: {
  readonly authFailuresPerClient: number;
  readonly authFailureWindowMs: number;
  readonly nowMs: () => number;
}): Guesses {
  const windows = new Map<string, { readonly startedMs: number; tried: number }>();
  const windowOf = (client: string) => {
    const now = limits.nowMs();
    const found = windows.get(client);
    if (found && now - found.startedMs < limits.authFailureWindowMs && now >= found.startedMs) return found;
    const window = { startedMs: now, tried: 0 };
    windows.delete(client);
    windows.set(client, window);
    const oldest = windows.size > MAX_CLIENTS ? windows.keys().next().value : undefined;
    if (oldest !== undefined) windows.delete(oldest);
    return window;
  };
  return {
    begin(client) {
      const window = windowOf(client);
      if (window.tried >= limits.authFailuresPerClient) return false;
      window.tried += 1;
      return true;
    },
    right(client) {
      const window = windowOf(client);
      window.tried = Math.max(0, window.tried - 1);
    },
  };
}
