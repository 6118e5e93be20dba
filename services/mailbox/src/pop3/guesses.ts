/** Counts wrong passwords by client. */
export interface Guesses {
  isLimited(client: string, nowMs: number): boolean;
  wrong(client: string, nowMs: number): void;
}

const CLIENTS_MAX = 10_000;

/**
 * At most `limit` wrong passwords from one client in a window, which begins with its first one. Remembers 10,000 clients,
 * the oldest window is forgotten first.
 */
export function createGuesses({ limit, windowMs }: { readonly limit: number; readonly windowMs: number }): Guesses {
  const windows = new Map<string, { readonly untilMs: number; count: number }>();
  const windowOf = (client: string, nowMs: number) => {
    const window = windows.get(client);
    return window !== undefined && window.untilMs > nowMs ? window : undefined;
  };
  return {
    isLimited: (client, nowMs) => (windowOf(client, nowMs)?.count ?? 0) >= limit,
    wrong: (client, nowMs) => {
      const window = windowOf(client, nowMs) ?? { untilMs: nowMs + windowMs, count: 0 };
      window.count += 1;
      if (window.count === 1) windows.delete(client);
      windows.set(client, window);
      const oldest = windows.size > CLIENTS_MAX ? windows.keys().next().value : undefined;
      if (oldest !== undefined) windows.delete(oldest);
    },
  };
}
