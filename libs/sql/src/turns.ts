/** The limit of waiting calls is reached: whoever asked defers. */
export class SqlBusy extends Error {
  override readonly name = 'SqlBusy';
}

export interface Turns {
  /** Runs `post` in turn: at once when no transaction is open and nobody waits. */
  pass(post: () => void): void;
  /** Resolves when the caller's transaction may begin. Nobody else has a turn until `leave`. */
  enter(): Promise<void>;
  leave(): void;
}

export interface TurnsOptions {
  readonly maxWaiting: number;
  /** Calls that had their turn and are not answered; they count as waiting. */
  readonly inFlight: () => number;
}

/**
 * Turns at one connection, first come, first served: single statements pass, transactions hold it.
 *
 * `pass` and `enter` throw `SqlBusy` when `maxWaiting` calls wait already.
 */
export function createTurns({ maxWaiting, inFlight }: TurnsOptions): Turns {
  const waiting: { readonly run: () => void; readonly holds: boolean }[] = [];
  let isHeld = false;
  const proceed = () => {
    while (!isHeld) {
      const next = waiting.shift();
      if (next === undefined) return;
      isHeld = next.holds;
      next.run();
    }
  };
  const take = (run: () => void, holds: boolean) => {
    if (waiting.length + inFlight() >= maxWaiting) throw new SqlBusy(`${maxWaiting} calls wait for the database already`);
    waiting.push({ run, holds });
    proceed();
  };
  return {
    pass: (post) => take(post, false),
    enter: () => new Promise((resolve) => take(resolve, true)),
    leave: () => {
      isHeld = false;
      proceed();
    },
  };
}
