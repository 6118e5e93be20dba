import { concludeRecipient, isThrottling } from './outcome.ts';
import type { AttemptResult, Job, RecipientResult, RemoteReply } from './port.ts';
import type { TransactionResult } from './smtp/transaction.ts';

/** A host, or one address of it, that could not be used. */
export interface HostFailure {
  readonly reply: RemoteReply;
  /** Ours: no attempt is spent. */
  readonly ownFault: boolean;
}

/** The account of one attempt: what is known of each recipient, and of the hosts. */
export interface Tally {
  /** Indexes of the recipients without a result, those first that are to go on at once. */
  readonly pending: readonly number[];
  /** No other host shall be asked. */
  readonly stopped: boolean;
  refuse(index: number, reply: RemoteReply): void;
  /** Notes a transaction with the recipients of `indexes`. True: this host has had its say. */
  transacted(result: TransactionResult, indexes: readonly number[], o: { host: string; relayed: boolean }): boolean;
  hostFailed(failure: HostFailure): void;
  /** Trouble of our own that another host cannot cure. */
  stop(reply: RemoteReply): void;
  /** `allHostsAsked`: none was left out. */
  conclude(o: { allHostsAsked: boolean }): AttemptResult;
}

/** Hosts that say so take no mail at all, ever (RFC 7504 §3, §4). */
const TAKES_NO_MAIL: ReadonlySet<number> = new Set([521, 556]);

const NOT_TRIED: RemoteReply = { code: 0, enhanced: '4.4.1', text: 'no host could be tried', remoteHost: '' };

export function createTally(job: Job): Tally {
  const results = new Map<number, RecipientResult>();
  const failures: HostFailure[] = [];
  let pending: readonly number[] = job.recipients.map((_, index) => index);
  let own = false;
  let inDoubt = false;
  let reached = false;
  let throttled = false;
  let stopped = false;

  const settle = (index: number, result: Omit<RecipientResult, 'address'>) => {
    const address = job.recipients[index]?.address;
    if (address !== undefined) results.set(index, { address, ...result });
  };
  const unsettled = () => {
    pending = pending.filter((index) => !results.has(index));
  };
  /** The word of a host says more than our own about a connection. */
  const lastWord = (): RemoteReply => (failures.findLast(({ reply }) => reply.code !== 0) ?? failures.at(-1))?.reply ?? NOT_TRIED;

  return {
    get pending() {
      return pending;
    },
    get stopped() {
      return stopped;
    },
    refuse(index, reply) {
      reached = true;
      settle(index, { result: 'bounced', reply, relayed: false });
      unsettled();
    },
    transacted(result, indexes, { host, relayed }) {
      reached ||= result.mail !== undefined;
      const replies = [result.mail, ...result.recipients, result.data, result.final, result.failure?.reply];
      throttled ||= replies.some((reply) => reply && isThrottling(reply));
      let elsewhere: RemoteReply | undefined;
      for (const [position, index] of indexes.entries()) {
        const conclusion = concludeRecipient(result, position, host);
        if (conclusion.is === 'elsewhere') elsewhere = conclusion.reply;
        if (conclusion.is !== 'done') continue;
        inDoubt ||= conclusion.inDoubt === true;
        settle(index, { result: conclusion.result, reply: conclusion.reply, relayed: conclusion.result === 'delivered' && relayed });
      }
      unsettled();
      if (elsewhere) failures.push({ reply: elsewhere, ownFault: false });
      own ||= result.withheld;
      stopped ||= result.withheld;
      return elsewhere !== undefined || result.withheld;
    },
    hostFailed(failure) {
      failures.push(failure);
      if (isThrottling(failure.reply)) throttled = true;
    },
    stop(reply) {
      failures.push({ reply, ownFault: true });
      stopped = true;
    },
    conclude({ allHostsAsked }) {
      const reply = lastWord();
      const nowhere = allHostsAsked && failures.length > 0 && failures.every((failure) => TAKES_NO_MAIL.has(failure.reply.code));
      const left = pending.length > 0;
      for (const index of pending) settle(index, { result: nowhere ? 'bounced' : 'deferred', reply, relayed: false });
      const ownFault = own || (left && failures.some((failure) => failure.ownFault));
      return {
        recipients: [...results].sort(([a], [b]) => a - b).map(([, result]) => result),
        inDoubt,
        spent: !ownFault,
        site: throttled ? 'throttled' : reached || nowhere || ownFault ? 'reached' : 'failed',
      };
    },
  };
}
