export interface RetryPolicy {
  /** Pauses between attempts; the last one repeats. At least one. */
  readonly retryMs: readonly number[];
  /** Each pause is made longer or shorter by up to this share. */
  readonly jitter: number;
}

export interface RetryState {
  /** Attempts that failed so far, at least 1. */
  readonly attempts: number;
  readonly nowMs: number;
  /** Uniform in [0, 1); `() => 0.5` means no jitter. */
  readonly random: () => number;
  /** End of the queue lifetime: an attempt that would come later is made then, so that the last word is a fresh one. */
  readonly expiresAtMs?: number;
}

/** Instant of the next attempt (RFC 5321 §4.5.4.1). Later than `nowMs`, but for a lifetime that ends within the pause. */
export function nextAttempt(policy: RetryPolicy, { attempts, nowMs, random, expiresAtMs }: RetryState): number {
  const pauses = policy.retryMs;
  const pause = pauses[Math.min(Math.max(attempts, 1), pauses.length) - 1] ?? 0;
  const at = nowMs + Math.max(1, Math.round(pause * (1 - policy.jitter + 2 * policy.jitter * random())));
  return expiresAtMs !== undefined && expiresAtMs > nowMs ? Math.min(at, expiresAtMs) : at;
}
