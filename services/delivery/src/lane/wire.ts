import type { LiveMessage, LiveRecipient } from '@angarium/lanes';

/** An attempt, as far as its lane has to know it. */
export interface UnderWay {
  readonly message: LiveMessage;
  readonly recipients: readonly LiveRecipient[];
  /** `dotted`: the final dot went out and was not answered. */
  readonly flight: { readonly dotted: boolean };
}

/** The attempts of a lane that are under way. */
export interface Wire extends Iterable<UnderWay> {
  add(attempt: UnderWay): void;
  delete(attempt: UnderWay): void;
  readonly size: number;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

export function createWire(): Wire {
  const attempts = new Set<UnderWay>();
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
