/** Readers that wait for a partition to change. */
export interface Waiters {
  wait(signal: AbortSignal): Promise<void>;
  wake(): void;
}

export function createWaiters(): Waiters {
  let waiting = new Set<() => void>();
  return {
    wait: (signal) =>
      new Promise((resolve) => {
        const done = () => {
          waiting.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        if (signal.aborted) return resolve();
        signal.addEventListener('abort', done);
        waiting.add(done);
      }),
    wake: () => {
      const woken = waiting;
      waiting = new Set();
      for (const done of woken) done();
    },
  };
}
