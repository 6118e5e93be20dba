import { concludeRecipient, isThrottling } from './outcome.ts';
import type { AttemptResult, Job, RecipientResult, RemoteReply } from './port.ts';
import type { TransactionResult } from './smtp/transaction.ts';

/** A host, or one address of it, that could not be used. */
export interface HostFailure {
  readonly reply: RemoteReply;
  /** Ours: no attempt is spent. */
  readonly ownFault: boolean;
}

/** Hosts that say so take no mail at all, ever (RFC 7504 §3, §4). */
const TAKES_NO_MAIL: ReadonlySet<number> = new Set([521, 556]);

const NOT_TRIED: RemoteReply = { code: 0, enhanced: '4.4.1', text: 'no host could be tried', remoteHost: '' };

/** The account of one attempt: what is known of each recipient, and of the hosts. */
export class Tally {
  readonly #job: Job;
  readonly #results = new Map<number, RecipientResult>();
  readonly #failures: HostFailure[] = [];
  #pending: readonly number[];
  #stopped = false;
  #withheld = false;
  #inDoubt = false;
  #reached = false;
  #throttled = false;
  #useless = false;

  constructor(job: Job) {
    this.#job = job;
    this.#pending = job.recipients.map((_, index) => index);
  }

  /** Indexes of the recipients without a result, those first that are to go on at once. */
  get pending(): readonly number[] {
    return this.#pending;
  }

  /** No other host shall be asked. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Bounces what cannot be sent to a host that was reached. */
  refuse(refused: ReadonlyMap<number, RemoteReply>): void {
    if (refused.size === 0) return;
    this.#reached = true;
    for (const [index, reply] of refused) this.#settle(index, { result: 'bounced', reply, relayed: false });
    this.#unsettled();
  }

  /** Notes a transaction with the recipients of `indexes`. True: this host has had its say. */
  transacted(result: TransactionResult, indexes: readonly number[], { host, relayed }: { host: string; relayed: boolean }): boolean {
    this.#reached ||= result.mail !== undefined;
    const replies = [result.mail, ...result.recipients, result.data, result.final, result.failure?.reply];
    this.#throttled ||= replies.some((reply) => reply && isThrottling(reply));
    let elsewhere: RemoteReply | undefined;
    for (const [position, index] of indexes.entries()) {
      const conclusion = concludeRecipient(result, position, host);
      if (conclusion.is === 'elsewhere') elsewhere = conclusion.reply;
      if (conclusion.is !== 'done') continue;
      this.#inDoubt ||= conclusion.inDoubt === true;
      this.#settle(index, { result: conclusion.result, reply: conclusion.reply, relayed: conclusion.result === 'delivered' && relayed });
    }
    this.#unsettled();
    if (elsewhere) this.#failures.push({ reply: elsewhere, ownFault: false });
    this.#withheld ||= result.withheld;
    this.#stopped ||= result.withheld;
    return elsewhere !== undefined || result.withheld;
  }

  hostFailed(failure: HostFailure): void {
    this.#failures.push(failure);
    this.#throttled ||= isThrottling(failure.reply);
  }

  /** Trouble of our own that another host cannot cure. `failed`: nor would another message fare better at this site. */
  stop(reply: RemoteReply, site: 'reached' | 'failed' = 'reached'): void {
    this.#failures.push({ reply, ownFault: true });
    this.#stopped = true;
    this.#useless = site === 'failed';
  }

  /** One result per recipient. `allHostsAsked`: none was left out. */
  conclude({ allHostsAsked }: { allHostsAsked: boolean }): AttemptResult {
    const failures = this.#failures;
    // The word of a host says more than our own about a connection.
    const reply = (failures.findLast((failure) => failure.reply.code !== 0) ?? failures.at(-1))?.reply ?? NOT_TRIED;
    const nowhere = allHostsAsked && failures.length > 0 && failures.every((failure) => TAKES_NO_MAIL.has(failure.reply.code));
    const ownFault = this.#withheld || (this.#pending.length > 0 && failures.some((failure) => failure.ownFault));
    const answers = this.#reached || nowhere || (ownFault && !this.#useless);
    for (const index of this.#pending) this.#settle(index, { result: nowhere ? 'bounced' : 'deferred', reply, relayed: false });
    return {
      recipients: [...this.#results].sort(([a], [b]) => a - b).map(([, result]) => result),
      inDoubt: this.#inDoubt,
      spent: !ownFault,
      site: this.#throttled ? 'throttled' : answers ? 'reached' : 'failed',
    };
  }

  #settle(index: number, result: Omit<RecipientResult, 'address'>): void {
    const address = this.#job.recipients[index]?.address;
    if (address !== undefined) this.#results.set(index, { address, ...result });
  }

  #unsettled(): void {
    this.#pending = this.#pending.filter((index) => !this.#results.has(index));
  }
}
