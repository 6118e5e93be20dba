import { LRUCache } from 'lru-cache';

/** Keys remembered at once; beyond it the one used longest ago is forgotten. */
const MAX_KEYS = 10_000;

interface Window {
  readonly startedMs: number;
  readonly used: number[];
}

/** Counters per key over a window that starts with the key's first use. In this process only. */
function createWindows(options: { readonly windowMs: number; readonly nowMs: () => number; readonly counters: number }) {
  const byKey = new LRUCache<string, Window>({ max: MAX_KEYS });
  return (key: string): number[] => {
    const found = byKey.get(key);
    const now = options.nowMs();
    if (found && now - found.startedMs < options.windowMs && now >= found.startedMs) return found.used;
    const fresh = { startedMs: now, used: Array<number>(options.counters).fill(0) };
    byKey.set(key, fresh);
    return fresh.used;
  };
}

const HOUR_MS = 3_600_000;

export interface Quota {
  /** What stands in the way of one message with so many recipients; nothing is counted. */
  excess(account: string, recipients: number): 'messages' | 'recipients' | undefined;
  /** Counts one message, or says why not. */
  take(account: string, recipients: number): 'messages' | 'recipients' | undefined;
  /** Takes a message back that was not accepted after all. */
  giveBack(account: string, recipients: number): void;
}

/** Messages and recipients per account and hour, so that a stolen password does not become an outbreak. 0: no limit. */
export function createQuota(limits: {
  readonly messagesPerHour: number;
  readonly recipientsPerHour: number;
  readonly nowMs: () => number;
}): Quota {
  const usedBy = createWindows({ windowMs: HOUR_MS, nowMs: limits.nowMs, counters: 2 });
  const add = (account: string, messages: number, recipients: number) => {
    const used = usedBy(account);
    used[0] = Math.max(0, (used[0] ?? 0) + messages);
    used[1] = Math.max(0, (used[1] ?? 0) + recipients);
  };
  const excess: Quota['excess'] = (account, recipients) => {
    const [messages = 0, before = 0] = usedBy(account);
    if (limits.messagesPerHour > 0 && messages + 1 > limits.messagesPerHour) return 'messages';
    return limits.recipientsPerHour > 0 && before + recipients > limits.recipientsPerHour ? 'recipients' : undefined;
  };
  return {
    excess,
    take(account, recipients) {
      const over = excess(account, recipients);
      if (!over) add(account, 1, recipients);
      return over;
    },
    giveBack: (account, recipients) => add(account, -1, -recipients),
  };
}
