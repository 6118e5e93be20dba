/** What all workers together have to do, as they tell it at one moment. */
export interface WorkLoad {
  /** Recipients that are due, and that their receivers would take now if there were more workers. */
  readonly useful: number;
  /** For how long the longest of them has been due, where no limit of its receiver holds it back. */
  readonly oldestMs: number;
  /** Recipients that are held in memory. */
  readonly held: number;
  /** Workers that answered. */
  readonly workers: number;
}

export interface ScalingTerms {
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** A worker beyond this would own none. */
  readonly lanes: number;
  /** Useful recipients that one worker is wanted for. */
  readonly usefulPerWorker: number;
  /** Held recipients that one worker is wanted for. */
  readonly heldPerWorker: number;
  /** Mail that is due for longer wants one worker more than there are. */
  readonly patienceMs: number;
  /** Fewer are wanted only after that was so for this long; then one fewer, and the time runs again. */
  readonly scaleInAfterMs: number;
}

export interface Wanted {
  /** Whole, at least `minWorkers`, at most `maxWorkers` and the lanes. */
  readonly workers: number;
  /** Since when fewer would do. */
  readonly fewerSinceMs?: number;
}

/** How many workers the load asks for, without regard to how many there were. Never fewer for more load. */
export function askedWorkers({ useful, oldestMs, held, workers }: WorkLoad, terms: ScalingTerms): number {
  const impatient = oldestMs > terms.patienceMs && useful > 0 ? workers + 1 : 0;
  const asked = Math.max(Math.ceil(useful / terms.usefulPerWorker), Math.ceil(held / terms.heldPerWorker), impatient);
  return Math.max(terms.minWorkers, Math.min(asked, terms.maxWorkers, terms.lanes));
}

/**
 * The number of workers that is wanted now: more at once, fewer one by one and late, so that lanes are handed over one worker at a
 * time and a burst does not pull them back and forth.
 */
export function wantedWorkers(before: Wanted | undefined, load: WorkLoad, terms: ScalingTerms, nowMs: number): Wanted {
  const asked = askedWorkers(load, terms);
  if (before === undefined || asked >= before.workers) return { workers: asked };
  const fewerSinceMs = before.fewerSinceMs ?? nowMs;
  if (nowMs - fewerSinceMs < terms.scaleInAfterMs) return { workers: Math.min(before.workers, terms.maxWorkers), fewerSinceMs };
  const workers = before.workers - 1;
  return workers > asked ? { workers, fewerSinceMs: nowMs } : { workers };
}
