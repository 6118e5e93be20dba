import type { Clock } from '@angarium/runtime';

/** A clock that goes when it is told to. */
export interface HandClock extends Clock {
  /** Moves on and runs what came due, in order. */
  move(byMs: number): void;
}

export function createHandClock(startMs: number): HandClock {
  let nowMs = startMs;
  let lastId = 0;
  const timers = new Map<number, { readonly atMs: number; readonly run: () => void }>();
  return {
    nowMs: () => nowMs,
    after: (delayMs, run) => {
      const id = ++lastId;
      timers.set(id, { atMs: nowMs + delayMs, run });
      return () => timers.delete(id);
    },
    move: (byMs) => {
      const untilMs = nowMs + byMs;
      for (;;) {
        const [next] = [...timers].filter(([, { atMs }]) => atMs <= untilMs).sort(([, a], [, b]) => a.atMs - b.atMs);
        if (next === undefined) break;
        timers.delete(next[0]);
        nowMs = Math.max(nowMs, next[1].atMs);
        next[1].run();
      }
      nowMs = untilMs;
    },
  };
}
