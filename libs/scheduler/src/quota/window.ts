/** Transactions that the receiver may count within a window that slides, wherever between MAIL and its reply it counts them. */
export interface SendWindow {
  /** Begun, and not known to be counted. */
  readonly pending: number;
  /**
   * Milliseconds until one more may begin, so that no window of `perMs` has more than `most`; infinite: none may, or not before
   * one that is pending is counted.
   */
  freeInMs(most: number, perMs: number, nowMs: number): number;
  /** How many may begin now. */
  freeNow(most: number, perMs: number, nowMs: number): number;
  begin(): void;
  /** The receiver has counted one, at the latest now. */
  counted(perMs: number, nowMs: number): void;
}

const COMPACT_AT = 256;

/** @param marginMs by which a window is held longer */
export function createSendWindow(marginMs: number): SendWindow {
  let times: number[] = [];
  let first = 0;
  let pending = 0;

  const forget = (perMs: number, nowMs: number): void => {
    while (first < times.length && nowMs - (times[first] ?? 0) >= perMs + marginMs) first++;
    if (first < COMPACT_AT || first * 2 < times.length) return;
    times = times.slice(first);
    first = 0;
  };

  return {
    get pending() {
      return pending;
    },
    freeInMs(most, perMs, nowMs) {
      const left = most - pending;
      if (left <= 0) return Number.POSITIVE_INFINITY;
      forget(perMs, nowMs);
      if (times.length - first < left) return 0;
      return (times[times.length - left] ?? nowMs) + perMs + marginMs - nowMs;
    },
    freeNow(most, perMs, nowMs) {
      forget(perMs, nowMs);
      return Math.max(0, most - pending - (times.length - first));
    },
    begin: () => void pending++,
    counted(perMs, nowMs) {
      pending--;
      forget(perMs, nowMs);
      times.push(nowMs);
    },
  };
}
