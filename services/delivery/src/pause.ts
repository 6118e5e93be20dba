import type { Clock } from '@angarium/runtime';

/** Resolves after `ms`, or at once when the signal aborts. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = () => {
      callOff();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const callOff = clock.after(ms, end);
    signal.addEventListener('abort', end);
  });
}

/** Doubles from 100 ms up to `maxMs`. */
export const backoffMs = (failures: number, maxMs: number): number => Math.min(maxMs, 100 * 2 ** Math.min(failures, 20));

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A broken invariant: ends the process, whose successor reads the log. */
export function crash(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
