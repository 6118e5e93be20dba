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
}

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const isEarlier = (one: Timer, other: Timer) => one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);

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
  /** All that needs no time: the log and the blobs in memory only take turns of the microtask queue. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
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
