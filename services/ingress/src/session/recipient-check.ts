import { type CheckResult, type Directory, Unavailable } from '@angarium/rpc';
import { LRUCache } from 'lru-cache';

const MAX_CACHED = 10_000;
const MAX_BATCH = 1000;

interface Waiting {
  readonly forwardPath: string;
  readonly resolve: (result: CheckResult) => void;
  readonly reject: (error: unknown) => void;
}

/** At once where the answer is known; else it rejects with `Unavailable` when the directory does not answer. */
export type RecipientCheck = (forwardPath: string) => CheckResult | Promise<CheckResult>;

/**
 * Asks the directory about forward-paths, with one request for everything that came up in one turn of the event loop.
 * Answers are kept for `cacheMs`: a change of the directory is seen after it at the latest.
 */
export function createRecipientCheck(options: {
  readonly directory: Directory;
  readonly cacheMs: number;
  readonly nowMs: () => number;
}): RecipientCheck {
  const { directory, cacheMs, nowMs } = options;
  const answers = new LRUCache<string, { readonly result: CheckResult; readonly untilMs: number }>({ max: MAX_CACHED });
  const running = new Map<string, Promise<CheckResult>>();
  const batch: Waiting[] = [];

  const ask = async (asked: readonly Waiting[]) => {
    try {
      const { results } = await directory.check({ forwardPaths: asked.map(({ forwardPath }) => forwardPath) });
      if (results.length !== asked.length) throw new Unavailable(`directory answered ${results.length} of ${asked.length} questions`);
      const untilMs = nowMs() + cacheMs;
      for (const [at, { forwardPath, resolve }] of asked.entries()) {
        const result = results[at] ?? 0;
        answers.set(forwardPath, { result, untilMs });
        resolve(result);
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
    for (const { forwardPath } of asked) running.delete(forwardPath);
  };
  const flush = () => {
    for (const all = batch.splice(0); all.length > 0; ) void ask(all.splice(0, MAX_BATCH));
  };
  return (forwardPath) => {
    const known = answers.get(forwardPath);
    if (known && nowMs() < known.untilMs) return known.result;
    const asked =
      running.get(forwardPath) ??
      new Promise<CheckResult>((resolve, reject) => {
        if (batch.length === 0) setImmediate(flush);
        batch.push({ forwardPath, resolve, reject });
      });
    running.set(forwardPath, asked);
    return asked;
  };
}
