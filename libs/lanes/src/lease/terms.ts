/** An instant by both clocks of a process. */
export interface Instant {
  /** Never goes back; may stand still while the machine is suspended. */
  readonly monotonicMs: number;
  /** Since the epoch; may jump. */
  readonly wallMs: number;
}

/**
 * What may have passed for everybody else: the larger of both differences. A suspended machine shows in the wall clock, a
 * wall clock that was set back in the monotonic one; one that was set forward only ends a lease sooner.
 */
export const elapsedMs = (since: Instant, now: Instant): number => Math.max(now.monotonicMs - since.monotonicMs, now.wallMs - since.wallMs);

/** Times of the lease protocol. All workers of a cluster must use the same. */
export interface LeaseTerms {
  readonly renewMs: number;
  /** An owner's lease, from the moment before it sent a renewal that it has read back. */
  readonly leaseMs: number;
  /** Silence after which others claim, from receipt, while their own renewals come back. Above `leaseMs`. */
  readonly waitMs: number;
  /** Longest time between two of one's own renewals coming back that still is cadence. */
  readonly cadenceMs: number;
  /** Time between ticks above which the process stood still: both logs are read before anything is done. */
  readonly stallMs: number;
  /** How long a lane may show no life before its owner stops to renew it. */
  readonly lifeMs: number;
  /** Without a change of members for so long, surplus lanes move. */
  readonly settleMs: number;
  /** Pause before the next in preference claims a lane that the one before it left alone. */
  readonly turnMs: number;
  /** A record that was not read back is written again after this. */
  readonly resendMs: number;
  readonly snapshotMs: number;
  /** A lane that was given up for a cause, or that nobody else took, is not touched for so long. */
  readonly backOffMs: number;
}

export const leaseTerms: LeaseTerms = {
  renewMs: 1_000,
  leaseMs: 6_000,
  waitMs: 9_000,
  cadenceMs: 2_500,
  stallMs: 250,
  lifeMs: 30_000,
  settleMs: 3_000,
  turnMs: 1_000,
  resendMs: 3_000,
  snapshotMs: 60_000,
  backOffMs: 60_000,
};
