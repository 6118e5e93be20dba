/** Readers that wait for a partition to change. */
export interface Waiters {
  /** Resolves at the next `wake`, or soon after the signal aborts; now and then without either. */
  wait(signal: AbortSignal): Promise<void>;
  wake(): void;
}

export function createWaiters(): Waiters {
  let waiting: (() => void)[] = [];
  /** One listener per signal: to add and remove one for each wait costs more than the rest of a wake-up. */
  const heard = new WeakSet<AbortSignal>();
  const wake = (): void => {
    const woken = waiting;
    waiting = [];
    for (const resume of woken) resume();
  };
  return {
    wake,
    wait: (signal) => {
      if (signal.aborted) return Promise.resolve();
      if (!heard.has(signal)) {
        heard.add(signal);
        signal.addEventListener('abort', wake, { once: true });
      }
      return new Promise((resolve) => waiting.push(resolve));
    },
  };
}
