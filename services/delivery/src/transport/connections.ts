import type { Clock } from '@angarium/runtime';
import type { SmtpSession } from './smtp/session.ts';

export interface ConnectionsOptions {
  readonly clock: Clock;
  /** How long an unused session is kept. */
  readonly idleMs: number;
  /** How often deadlines and idle sessions are looked at. */
  readonly sweepMs: number;
  /** Sessions open at once above which unused ones are closed for new ones. */
  readonly maxOpen: number;
  readonly messagesPerConnection: number;
}

export interface Connections {
  /** From now on its deadlines are kept, until it ends. */
  add(session: SmtpSession): void;
  /** A kept session, the last one used first; undefined: none. */
  take(key: string): SmtpSession | undefined;
  has(key: string): boolean;
  /** Keeps the session for the next message, or ends it when it has done its share. */
  keep(key: string, session: SmtpSession): void;
  readonly open: number;
  /** Says QUIT on all kept sessions, waits `graceMs` at most for their hosts, then drops whatever is left. */
  close(graceMs: number): Promise<void>;
}

/** All sessions of one transport. One timer looks after all of them, and there is none while nothing is open. */
export function createConnections(o: ConnectionsOptions): Connections {
  const open = new Set<SmtpSession>();
  /** Oldest first, both the keys of a map and the sessions of a key. */
  const kept = new Map<SmtpSession, { readonly key: string; readonly sinceMs: number }>();
  const byKey = new Map<string, SmtpSession[]>();
  let timer: (() => void) | undefined;

  const forget = (session: SmtpSession) => {
    const key = kept.get(session)?.key;
    kept.delete(session);
    if (key === undefined) return;
    const left = (byKey.get(key) ?? []).filter((other) => other !== session);
    if (left.length > 0) byKey.set(key, left);
    else byKey.delete(key);
  };

  const sweep = () => {
    const nowMs = o.clock.nowMs();
    for (const session of open) session.expire(nowMs);
    for (const [session, { sinceMs }] of kept) {
      if (nowMs - sinceMs < o.idleMs) break;
      forget(session);
      session.leave();
    }
    timer = open.size > 0 ? o.clock.after(o.sweepMs, sweep) : undefined;
  };

  return {
    add(session) {
      open.add(session);
      session.once('end', () => {
        open.delete(session);
        forget(session);
      });
      const oldest = open.size > o.maxOpen ? kept.keys().next().value : undefined;
      if (oldest) {
        forget(oldest);
        oldest.leave();
      }
      timer ??= o.clock.after(o.sweepMs, sweep);
    },
    take(key) {
      const session = byKey.get(key)?.at(-1);
      if (session) forget(session);
      return session;
    },
    has: (key) => byKey.has(key),
    keep(key, session) {
      if (!session.usable) return session.close();
      if (session.transactions >= o.messagesPerConnection || o.idleMs === 0) return session.leave();
      kept.set(session, { key, sinceMs: o.clock.nowMs() });
      byKey.set(key, [...(byKey.get(key) ?? []), session]);
    },
    get open() {
      return open.size;
    },
    async close(graceMs) {
      for (const session of kept.keys()) session.leave();
      kept.clear();
      byKey.clear();
      const ends = [...open].map((session) => new Promise<void>((resolve) => session.once('end', resolve)));
      let callOff = () => {};
      const grace = new Promise<void>((resolve) => {
        callOff = o.clock.after(graceMs, resolve);
      });
      await Promise.race([Promise.all(ends), grace]);
      callOff();
      timer?.();
      timer = undefined;
      for (const session of open) session.drop();
    },
  };
}
