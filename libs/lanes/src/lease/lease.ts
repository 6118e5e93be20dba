import type { Kind, LeaseRenewal, LeaseWriter } from '@angarium/records';

/** A record of `mail.lease`, decoded. */
export interface LeaseRecord {
  readonly offset: number;
  readonly appendedAtMs: number;
  readonly kind: Kind;
}

/** Who may act on a lane. Changed by the fold alone. */
export interface Lease {
  readonly lane: number;
  epoch: number;
  /** Incarnation; undefined: released. */
  owner: string | undefined;
  /** Offset of the newest record that gave, renewed or ended it. */
  renewed: number;
  watermark: number;
  recipients: number;
}

/** A process that takes part, by its newest renewal. */
export interface Member {
  readonly incarnation: string;
  readonly worker: string;
  readonly sequence: number;
  readonly leaving: boolean;
  readonly full: boolean;
  readonly laneCount: number;
  readonly laneTableVersion: number;
  readonly address: string;
  readonly appendedAtMs: number;
  /** As it was written, without the lanes. */
  readonly renewal: LeaseRenewal;
}

/** What a record did to the state. */
export type LeaseEvent =
  /** Nothing: a copy, a record that was overtaken, or one before the state is known. */
  | { readonly is: 'void' }
  /** A snapshot gave the state to a reader that had none. */
  | { readonly is: 'based' }
  | { readonly is: 'renewed' | 'claimed' | 'released'; readonly writer: LeaseWriter; readonly lanes: readonly number[] }
  | { readonly is: 'snapshot'; readonly writer: LeaseWriter }
  /** The record belongs to another log: this topic was made anew, or the writer has not noticed that it was. */
  | { readonly is: 'foreign'; readonly logId: string }
  /** A snapshot contradicts the state: one of the two folds is wrong. */
  | { readonly is: 'diverged'; readonly reason: string };
