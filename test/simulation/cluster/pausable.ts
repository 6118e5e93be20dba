import type { ProcessClock, VirtualTime } from '../virtual-time.ts';

/** A process that can stand still, as by SIGSTOP: what falls due meanwhile comes when it goes on. */
export interface Pausable {
  readonly clock: ProcessClock;
  /** Resolves when the process runs; never, once it is killed. */
  gate(): Promise<void>;
  pause(ms: number): void;
  readonly isPaused: boolean;
  readonly isKilled: boolean;
  kill(): void;
}

/** @param skewMs by how much its wall clock is wrong */
export function createPausable(time: VirtualTime, skewMs: number): Pausable {
  const clock = time.process();
  let backlog: (() => void)[] = [];
  let pausedUntilMs = 0;
  let isKilled = false;
  const isPaused = () => pausedUntilMs > time.nowMs();
  const here = (run: () => void) => {
    if (isPaused()) backlog.push(run);
    else if (!isKilled) run();
  };
  const goOn = () => {
    if (isPaused()) return;
    const due = backlog;
    backlog = [];
    for (const run of due) if (!isKilled) run();
  };
  const after: ProcessClock['after'] = (ms, run) => {
    let isOff = false;
    const callOff = clock.after(ms, () => here(() => isOff || run()));
    return () => {
      isOff = true;
      callOff();
    };
  };
  return {
    clock: { ...clock, nowMs: () => clock.nowMs() + skewMs, after, wait: (ms) => new Promise((resolve) => void after(ms, resolve)) },
    gate: () => (isPaused() || isKilled ? new Promise((resolve) => here(resolve)) : Promise.resolve()),
    pause(ms) {
      pausedUntilMs = Math.max(pausedUntilMs, time.nowMs() + ms);
      time.world.after(ms, goOn);
    },
    get isPaused() {
      return isPaused();
    },
    get isKilled() {
      return isKilled;
    },
    kill() {
      isKilled = true;
      backlog = [];
      clock.kill();
    },
  };
}
