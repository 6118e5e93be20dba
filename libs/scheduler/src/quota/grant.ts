import type { Units } from './limit.ts';

/** From a worker to the granter of a key. One at a time. */
export interface GrantRequest {
  readonly key: string;
  /** Incarnation of the worker. */
  readonly from: string;
  /** Grows with every request of a worker. */
  readonly sequence: number;
  /** What it keeps: from now on it uses no more than this, until it is told more. */
  readonly keeps: Units;
  /** Connections that are open: more than it keeps when its grant ended after their final dots. They take room, and give no right. */
  readonly open: number;
  /** What it could use in all. */
  readonly wants: Units;
  /** Age of the oldest mail that is ready. */
  readonly oldestMs: number;
  /** It gave its connections back since its turn was over. */
  readonly served: boolean;
}

export interface Grant {
  readonly key: string;
  readonly sequence: number;
  /** What it may use until the grant ends: never less than it keeps. */
  readonly units: Units;
  /** What it should come down to, when its transactions end. */
  readonly target: Units;
  /** Others wait: turns are kept. */
  readonly contended: boolean;
}

/** `elsewhere`: another worker grants this key, or this one does not know yet that it does. */
export type GrantAnswer = Grant | 'elsewhere';

/** What a worker tells of a key to its new granter. From then on it takes no grant that was asked for before. */
export interface Held {
  readonly key: string;
  readonly from: string;
  readonly sequence: number;
  readonly units: Units;
  readonly surrender: Surrender;
}

/**
 * What a worker tells as the granter of a key: it never was; it was until now, and for whom, so that the new one need not
 * wait; or it still is, as far as it knows, and must be asked again.
 */
export type Surrender = 'never' | 'refused' | { readonly ledger: readonly LedgerLine[] };

/** What a worker was granted. */
export interface LedgerLine {
  readonly from: string;
  readonly sequence: number;
  readonly units: Units;
}
