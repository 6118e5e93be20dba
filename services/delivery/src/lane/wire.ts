import type { Attempt } from '../attempt/attempts.ts';

/** The attempts of a lane that are under way. */
export interface Wire extends Iterable<Attempt> {
  add(attempt: Attempt): void;
  delete(attempt: Attempt): void;
  readonly size: number;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

export function createWire(): Wire {
  const attempts = new Set<Attempt>();
  const onIdle: (() => void)[] = [];
  return {
    add: (attempt) => void attempts.add(attempt),
    delete(attempt) {
      attempts.delete(attempt);
      if (attempts.size === 0) for (const resolve of onIdle.splice(0)) resolve();
    },
    get size() {
      return attempts.size;
    },
    idle: () =>
      new Promise((resolve) => {
        if (attempts.size > 0) onIdle.push(resolve);
        else resolve();
      }),
    [Symbol.iterator]: () => attempts.values(),
  };
}
