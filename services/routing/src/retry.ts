import type { Clock } from '@angarium/runtime';

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly retryMs: number;
  readonly maxRetryMs: number;
  readonly signal: AbortSignal;
}

/** The service stops: what is not done is done after the next start. */
export class Stopping extends Error {
  override readonly name = 'Stopping';
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Resolves after the pause, or at once when the signal aborts. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      callOff();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const callOff = clock.after(ms, end);
    signal.addEventListener('abort', end);
  });
}

/**
 * Does `work` until it works. Pauses double up to the limit and vary by a quarter, so that what stalled together does not
 * return together.
 *
 * @throws Stopping when the signal aborts first
 */
export async function untilItWorks<T>(options: RetryOptions, onFault: (error: unknown) => void, work: () => Promise<T>): Promise<T> {
  for (let waitMs = options.retryMs; ; waitMs = Math.min(waitMs * 2, options.maxRetryMs)) {
    try {
      return await work();
    } catch (error) {
      onFault(error);
    }
    await pause(options.clock, waitMs * (0.75 + 0.5 * options.random()), options.signal);
    if (options.signal.aborted) throw new Stopping();
  }
}
