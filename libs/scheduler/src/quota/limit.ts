/** An instant by both clocks of a process. */
export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** What may have passed for a granter: it ends a grant only sooner. */
export const elapsedMs = (since: Instant, now: Instant): number => Math.max(now.monotonicMs - since.monotonicMs, now.wallMs - since.wallMs);

/** What a receiving site allows the whole cluster; what is left out has no limit. */
export interface Limit {
  /** Connections that are open at once. */
  readonly connections?: number;
  /** Transactions that begin within any `perMs`. */
  readonly messages?: number;
  readonly perMs?: number;
}

/** By limit key. A key without a limit needs no grant. */
export type LimitOf = (key: string) => Limit | undefined;

/** Units of a limit: connections, and messages per window. */
export interface Units {
  readonly connections: number;
  readonly messages: number;
}

export const isNothing = ({ connections, messages }: Units): boolean => connections === 0 && messages === 0;

export const NOTHING: Units = { connections: 0, messages: 0 };

/** All there is; infinite where there is no limit. */
export const unitsOf = (limit: Limit): Units => ({
  connections: limit.connections ?? Number.POSITIVE_INFINITY,
  messages: limit.messages ?? Number.POSITIVE_INFINITY,
});

const DEFAULT_PER_MS = 1_000;

export const windowMs = (limit: Limit | undefined): number => limit?.perMs ?? DEFAULT_PER_MS;

/** Times of the protocol. All workers of a cluster must use the same. */
export interface QuotaTerms {
  /** A grant ends so long after it was asked for, by the grantee; after it was answered, by the granter. */
  readonly grantMs: number;
  /** How often a grant is renewed, and how often one who waits asks again. */
  readonly renewMs: number;
  readonly askMs: number;
  /** A new granter that does not know everything grants nothing new for `grantMs` and this: the longest lease of its predecessor. */
  readonly leaseMs: number;
  /** Between two looks at the own lease, at most; else all keys are collected anew. The others' wait minus `leaseMs`. */
  readonly unseenMs: number;
  /** Where others wait, one worker keeps a connection for so long or for so many messages. */
  readonly turnMs: number;
  readonly turnMessages: number;
  /** A window is held longer by this, so that the way to the receiver does not squeeze two of them together. */
  readonly marginMs: number;
}

export const quotaTerms: QuotaTerms = {
  grantMs: 20_000,
  renewMs: 3_000,
  askMs: 500,
  leaseMs: 6_000,
  unseenMs: 3_000,
  turnMs: 30_000,
  turnMessages: 100,
  marginMs: 25,
};

function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** Who grants a key: rendezvous over the incarnations of the live workers that do not leave. */
export function granterOf(key: string, workers: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestWeight = -1;
  for (const incarnation of workers) {
    const weight = hash(`${key} ${incarnation}`);
    if (weight < bestWeight || (weight === bestWeight && incarnation > (best ?? ''))) continue;
    best = incarnation;
    bestWeight = weight;
  }
  return best;
}
