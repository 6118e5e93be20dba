import type { NextHop } from '@angarium/records';
import type { Allowance } from '../quota/allowance.ts';

/** A reply as the outcome records keep it; code 0 where there was none (connection refused, lost, timed out). */
export interface RemoteReply {
  readonly code: number;
  /** "5.1.1"; empty when the host gave none and we have none to give. */
  readonly enhanced: string;
  /** Lines joined by LF; printable, at most 1,000 octets. */
  readonly text: string;
  /** Host that said it; empty: we did. */
  readonly remoteHost: string;
}

/** Where a next hop's mail really goes. `site` is equal for all hops with the same set of hosts. */
export interface Plan {
  readonly site: string;
  /** For logs and the queue tools: first host or domain. */
  readonly title: string;
  readonly validUntilMs: number;
  /** Under which its attempts are counted; left out: they are not. */
  readonly provider?: string;
  /** Names of the limits that its hosts fall under; left out: none. */
  readonly limits?: readonly string[];
}

export type Resolution<P extends Plan = Plan> =
  | { readonly is: 'plan'; readonly plan: P }
  /** Null MX, no such domain: every recipient of the hop. */
  | { readonly is: 'bounced'; readonly reply: RemoteReply }
  /** `ownFault`: our resolver is down; no attempt is spent and nothing expires by it. */
  | { readonly is: 'deferred'; readonly reply: RemoteReply; readonly ownFault: boolean };

export interface JobRecipient {
  readonly address: string;
  readonly notify: number;
  /** Decoded, with its type; empty is absent. */
  readonly orcpt: string;
  /** The account's address; only for final delivery. */
  readonly account?: string;
}

/** One message for recipients of one site. */
export interface Job<P extends Plan = Plan> {
  readonly plan: P;
  readonly queueId: string;
  readonly reversePath: string;
  readonly envid: string;
  readonly ret: 'full' | 'hdrs' | '';
  readonly eightBit: boolean;
  readonly smtputf8: boolean;
  readonly headerUtf8: boolean;
  readonly acceptedAtMs: number;
  /** Of the attempt's span; empty when it is not traced. */
  readonly traceparent: string;
  /** CRLF line ends, not dot-stuffed. */
  readonly content: Uint8Array;
  readonly recipients: readonly JobRecipient[];
  /** Asked for each connection and each transaction; left out: the site has no limits. */
  readonly allowance?: Allowance;
  /** Asked when everything but the final dot is written: false drops the connection undotted. */
  readonly mayFinish: () => boolean;
  /** Called when the final dot goes out: from then on the transaction is in doubt until the attempt resolves. */
  readonly onDot: () => void;
}

export interface RecipientResult {
  readonly address: string;
  readonly result: 'delivered' | 'deferred' | 'bounced';
  readonly reply: RemoteReply;
  /** Delivered to a host that does not speak RFC 3461. */
  readonly relayed: boolean;
  /** Deferred by trouble of our own: no attempt of this recipient is spent, whatever `spent` says. */
  readonly ownFault?: boolean;
}

export interface AttemptResult {
  /** One per recipient of the job, in its order. */
  readonly recipients: readonly RecipientResult[];
  /** The connection was lost, or nothing came, after the final dot. */
  readonly inDoubt: boolean;
  /** False: our own fault or a dropped dot; no attempt is spent. */
  readonly spent: boolean;
  /**
   * What it says about the site: `reached` a transaction went through its commands; `throttled` the host asked to come
   * more slowly; `failed` no host could be spoken to.
   */
  readonly site: 'reached' | 'throttled' | 'failed';
  /** What is deferred without an attempt found no room below the limits of its site: it waits for that alone. */
  readonly noRoom?: boolean;
}

/**
 * Carries messages to next hops of some kinds. An attempt never rejects for what the world did; unknown trouble is
 * `deferred`. The scheduler decides how many attempts run at once per site.
 */
export interface Transport<P extends Plan = Plan> {
  readonly carries: (hop: NextHop) => boolean;
  /** Cached; cheap when known. */
  resolve(hop: NextHop): Promise<Resolution<P>>;
  attempt(job: Job<P>): Promise<AttemptResult>;
  /** Closes kept connections. */
  close(): Promise<void>;
}
