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

/** All sessions of one transport. One timer looks after all of them, and there is none while nothing is open. */
export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #open = new Set<SmtpSession>();
  /** Unused sessions, the one unused longest first. */
  readonly #kept = new Map<SmtpSession, { readonly key: string; readonly sinceMs: number }>();
  readonly #byKey = new Map<string, Set<SmtpSession>>();
  #callOff: (() => void) | undefined;
  #closed = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  get open(): number {
    return this.#open.size;
  }

  /** Nothing is opened any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** From now on its deadlines are kept, until it ends. */
  add(session: SmtpSession): void {
    this.#open.add(session);
    session.once('end', () => {
      this.#open.delete(session);
      this.#forget(session);
    });
    const oldest = this.#open.size > this.#options.maxOpen ? this.#kept.keys().next().value : undefined;
    if (oldest) {
      this.#forget(oldest);
      oldest.leave();
    }
    this.#callOff ??= this.#sweepLater();
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** A kept session, the last one used first; undefined: none. */
  take(key: string): SmtpSession | undefined {
    for (const session of [...(this.#byKey.get(key) ?? [])].reverse()) {
      this.#forget(session);
      if (session.usable && !session.unasked) {
        if (session.slot) session.slot.isUnused = false;
        return session;
      }
      session.drop();
    }
    return undefined;
  }

  /** Keeps the session for the next message, or ends it when it has done its share. */
  keep(key: string, session: SmtpSession): void {
    const { messagesPerConnection, idleMs, clock } = this.#options;
    if (!session.usable || session.unasked) {
      session.drop();
      return;
    }
    if (session.transactions >= messagesPerConnection || idleMs === 0 || this.#closed) {
      session.leave();
      return;
    }
    if (session.slot) session.slot.isUnused = true;
    this.#kept.set(session, { key, sinceMs: clock.nowMs() });
    const others = this.#byKey.get(key);
    if (others) others.add(session);
    else this.#byKey.set(key, new Set([session]));
  }

  /** Ends an unused session. */
  leave(session: SmtpSession): void {
    this.#forget(session);
    session.leave();
  }

  /** Says QUIT on all kept sessions, waits `graceMs` at most for their hosts, then drops whatever is left. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    const unused = [...this.#kept.keys()];
    for (const session of unused) this.#forget(session);
    const ends = unused.map((session) => new Promise<void>((resolve) => session.once('end', resolve)));
    for (const session of unused) session.leave();
    let callOff = () => {};
    const grace = new Promise<void>((resolve) => {
      callOff = this.#options.clock.after(graceMs, resolve);
    });
    await Promise.race([Promise.all(ends), grace]);
    callOff();
    for (const session of this.#open) session.drop();
    this.#callOff?.();
    this.#callOff = undefined;
  }

  #forget(session: SmtpSession): void {
    const key = this.#kept.get(session)?.key;
    if (key === undefined) return;
    this.#kept.delete(session);
    const others = this.#byKey.get(key);
    others?.delete(session);
    if (others?.size === 0) this.#byKey.delete(key);
  }

  #sweepLater(): (() => void) | undefined {
    return this.#open.size > 0 ? this.#options.clock.after(this.#options.sweepMs, () => this.#sweep()) : undefined;
  }

  #sweep(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const session of this.#open) session.expire(nowMs);
    for (const [session, { sinceMs }] of this.#kept) {
      if (nowMs - sinceMs < this.#options.idleMs) break;
      this.#forget(session);
      session.leave();
    }
    this.#callOff = this.#sweepLater();
  }
}
