import { setTimeout as pause } from 'node:timers/promises';
import { failureOf, isPassing, type Target } from './failure.ts';

export type S3Call = 'put' | 'get' | 'delete' | 'list';

export interface CallsOptions extends Target {
  /** Requests at once; further ones wait, which is in the time of their call. */
  readonly maxConnections: number;
  /** Longest call, its repeats included. */
  readonly callTimeoutMs: number;
  /** Pauses before a call that failed for a passing reason is repeated; as many repeats as pauses. */
  readonly retryMs: readonly number[];
  /** Called before each pause. */
  readonly onRepeat?: (call: S3Call, reason: string) => void;
}

type Once<T> = (abortSignal: AbortSignal) => Promise<T>;
/** One call with its repeats, in its time. Fails as the port tells. */
export type RunCall = <T>(call: S3Call, once: Once<T>) => Promise<T>;

/**
 * Lets so many run at once, the others in order. The sockets' own queue would do, but for the SDK the wait for a socket is the wait
 * for a connection, and ends with its time.
 */
function createPlaces(most: number): <T>(once: Once<T>, late: AbortSignal) => Promise<T> {
  let free = most;
  const waiting = new Set<() => void>();
  const enter = (late: AbortSignal): Promise<void> => {
    if (free > 0) {
      free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const give = () => {
        late.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        waiting.delete(give);
        reject(late.reason);
      };
      waiting.add(give);
      late.addEventListener('abort', leave, { once: true });
    });
  };
  const leave = () => {
    const [next] = waiting;
    if (next === undefined) free++;
    else {
      waiting.delete(next);
      next();
    }
  };
  return async (once, late) => {
    late.throwIfAborted();
    await enter(late);
    try {
      return await once(late);
    } finally {
      leave();
    }
  };
}

export function createCalls(o: CallsOptions): RunCall {
  const inPlace = createPlaces(o.maxConnections);
  const repeated = async <T>(call: S3Call, once: Once<T>, late: AbortSignal): Promise<T> => {
    for (let repeats = 0; ; repeats++) {
      try {
        return await inPlace(once, late);
      } catch (thrown) {
        const error = late.aborted ? new Error(`not done within ${o.callTimeoutMs} ms`, { cause: thrown }) : (thrown as Error);
        const pauseMs = o.retryMs[repeats];
        if (late.aborted || pauseMs === undefined || !isPassing(error)) throw failureOf(call, error, o);
        o.onRepeat?.(call, `${error.name}: ${error.message}`);
        await pause(pauseMs, undefined, { signal: late }).catch(() => {});
      }
    }
  };
  return async (call, once) => {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), o.callTimeoutMs);
    try {
      return await repeated(call, once, late.signal);
    } finally {
      clearTimeout(timer);
    }
  };
}
