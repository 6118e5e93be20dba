/** Those who wait until a reader has passed an offset. */
export interface Awaiting {
  /** Resolves when the reader has passed the offset; rejects when it never will. */
  until(offset: number): Promise<void>;
  reached(position: number): void;
  fail(error: Error): void;
}

interface Waiter {
  readonly offset: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export function createAwaiting(): Awaiting {
  let waiters: Waiter[] = [];
  let position = 0;
  let failed: Error | undefined;
  return {
    until: (offset) =>
      new Promise((resolve, reject) => {
        if (offset < position) resolve();
        else if (failed !== undefined) reject(failed);
        else waiters.push({ offset, resolve, reject });
      }),
    reached(now) {
      position = Math.max(position, now);
      if (waiters.length === 0) return;
      const left: Waiter[] = [];
      for (const waiter of waiters) {
        if (waiter.offset < position) waiter.resolve();
        else left.push(waiter);
      }
      waiters = left;
    },
    fail(error) {
      failed = error;
      for (const { reject } of waiters) reject(error);
      waiters = [];
    },
  };
}
