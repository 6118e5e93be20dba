import type { Clock } from '@angarium/runtime';

/** Clock of one process: once it is killed nothing of it runs any more. */
export interface ProcessClock extends Clock {
  kill(): void;
  /** Resolves after `ms`; never, when the process is killed before. */
  wait(ms: number): Promise<void>;
}

export interface VirtualTime {
  nowMs(): number;
  /** The world's own events: they outlive every process. */
  readonly world: ProcessClock;
  process(): ProcessClock;
  /** Lets time pass, timer by timer; `onTurn` is called when all that a timer caused has come to rest. */
  pass(ms: number, onTurn?: () => void): Promise<void>;
  settle(): Promise<void>;
  /** Something was sent on a wire: it is not at rest yet. */
  stir(): void;
}

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const isEarlier = (one: Timer, other: Timer) => one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);

/** Turns without anything on a wire after which all has come to rest: the log and the blobs in memory take fewer. */
const QUIET_TURNS = 3;

export function createVirtualTime(startMs: number): VirtualTime {
  const timers = new Set<Timer>();
  let nowMs = startMs;
  let order = 0;

  const createClock = (): ProcessClock => {
    let isAlive = true;
    const clock: ProcessClock = {
      nowMs: () => nowMs,
      after(delayMs, run) {
        if (!isAlive) return () => {};
        const timer = { atMs: nowMs + Math.max(0, Math.ceil(delayMs)), order: order++, run: () => isAlive && run() };
        timers.add(timer);
        return () => void timers.delete(timer);
      },
      wait: (ms) => new Promise((resolve) => void clock.after(ms, resolve)),
      kill() {
        isAlive = false;
      },
    };
    return clock;
  };
  let isStirred = false;
  /** All that needs no time, until nothing happens any more. */
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet = isStirred ? 0 : quiet + 1) {
      isStirred = false;
      await new Promise(setImmediate);
    }
  };
  const earliest = (): Timer | undefined => {
    let first: Timer | undefined;
    for (const timer of timers) if (first === undefined || isEarlier(timer, first)) first = timer;
    return first;
  };
  return {
    nowMs: () => nowMs,
    world: createClock(),
    process: createClock,
    settle,
    stir() {
      isStirred = true;
    },
    async pass(ms, onTurn = () => {}) {
      const endMs = nowMs + ms;
      await settle();
      for (let next = earliest(); next !== undefined && next.atMs <= endMs; next = earliest()) {
        timers.delete(next);
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
        await settle();
        onTurn();
      }
      nowMs = endMs;
    },
  };
}
