import type { Kind } from '@angarium/records';

/** Why a lane is no longer ours. */
export type LossReason = 'claimed' | 'log lost' | 'halted';

/** What happened to the owner before: it left the lane in order, or fell silent, or there was none. */
export type Inheritance = 'released' | 'silent' | 'new';

/** What the driver of a member does, in this order. */
export type LeaseAction =
  /** Append to `mail.lease`, as one batch; then `settled(id)`, whether it was acknowledged or not. Never repeated by the driver. */
  | { readonly do: 'append'; readonly id: number; readonly kinds: readonly Kind[] }
  /** The lane is ours: write `Owner` and read it to there, if `mayAct` still says so. A lane that has begun begins again with a higher epoch. */
  | { readonly do: 'begin'; readonly lane: number; readonly epoch: number; readonly inherited: Inheritance }
  /** Start nothing, finish what is on the wire, write `InDoubt`, flush the outcomes, then `drained`. */
  | { readonly do: 'drain'; readonly lane: number; readonly epoch: number }
  /** The release of a drained or given-up lane is in the log. */
  | { readonly do: 'released'; readonly lane: number; readonly epoch: number }
  /** Act no more. Final facts about what was sent may still be written. */
  | { readonly do: 'lose'; readonly lane: number; readonly epoch: number; readonly reason: LossReason }
  /** Read `mail.lease` and the journals of all lanes that have begun up to the high marks that they have now; then `caughtUp(token)`. */
  | { readonly do: 'catchUp'; readonly token: number }
  /** Nothing below is needed by any reader of `mail.lease`. */
  | { readonly do: 'trim'; readonly below: number }
  /** Read `mail.lease` anew from its low mark: `reading(low)`. What is still handed over before that is ignored. */
  | { readonly do: 'reread' }
  /** The lane holds more recipients than there is room for: it stays without an owner unless another one takes it. Rings. */
  | { readonly do: 'refuse'; readonly lane: number; readonly recipients: number }
  /** `stop` was asked for and every lane is released. */
  | { readonly do: 'left' }
  /** Nothing is done any more: this process must end, and an operator must look. */
  | { readonly do: 'halt'; readonly reason: string };
