/** Times of the newest transactions: how many began within a window that slides. */
export interface SendWindow {
  /** Milliseconds until one more may begin, so that no window of `perMs` has more than `most`; infinite: none may. */
  freeInMs(most: number, perMs: number, nowMs: number): number;
  add(perMs: number, nowMs: number): void;
}

const COMPACT_AT = 256;

/** @param marginMs by which a window is held longer */
export function createSendWindow(marginMs: number): SendWindow {
  let times: number[] = [];
  let first = 0;

  const forget = (perMs: number, nowMs: number): void => {
    while (first < times.length && nowMs - (times[first] ?? 0) >= perMs + marginMs) first++;
    if (first < COMPACT_AT || first * 2 < times.length) return;
    times = times.slice(first);
    first = 0;
  };

  return {
    freeInMs(most, perMs, nowMs) {
      if (most <= 0) return Number.POSITIVE_INFINITY;
      forget(perMs, nowMs);
      if (times.length - first < most) return 0;
      return (times[times.length - most] ?? nowMs) + perMs + marginMs - nowMs;
    },
    add(perMs, nowMs) {
      forget(perMs, nowMs);
      times.push(nowMs);
    },
  };
}
