import { NextHopKind } from '@angarium/records';
import { DeliverResult, type Mailbox, Refused, Unavailable } from '@angarium/rpc';
import type { AttemptResult, Job, RecipientResult, RemoteReply, Transport } from './port.ts';

export const MAILBOX_SITE = 'mailbox';

type Answer = { readonly result: RecipientResult['result']; readonly spent: boolean; readonly reply: RemoteReply };

const reply = (code: number, enhanced: string, text: string): RemoteReply => ({ code, enhanced, text, remoteHost: '' });
const UNAVAILABLE: Answer = { result: 'deferred', spent: false, reply: reply(451, '4.3.0', 'the mailbox service does not answer') };

const ANSWERS: Readonly<Record<number, Answer>> = {
  [DeliverResult.STORED]: { result: 'delivered', spent: true, reply: reply(250, '2.1.5', 'stored in the mailbox') },
  [DeliverResult.OVER_QUOTA]: { result: 'deferred', spent: true, reply: reply(452, '4.2.2', 'the mailbox is full') },
  [DeliverResult.UNAVAILABLE]: UNAVAILABLE,
  // Trouble of our own, as a log or blob store without room is: no attempt is spent, and it is tried again soon.
  [DeliverResult.STORE_FULL]: { result: 'deferred', spent: false, reply: reply(452, '4.3.1', 'the message store has no room') },
  [DeliverResult.NO_SUCH_ACCOUNT]: { result: 'bounced', spent: true, reply: reply(550, '5.1.1', 'no such mailbox here') },
  [DeliverResult.TOO_BIG]: { result: 'bounced', spent: true, reply: reply(552, '5.3.4', 'the message is too big for the mailbox') },
};

const forever = Number.MAX_SAFE_INTEGER;
const RESOLUTION = { is: 'plan', plan: { site: MAILBOX_SITE, title: MAILBOX_SITE, validUntilMs: forever } } as const;

function concluded(job: Job, answers: readonly Answer[]): AttemptResult {
  const recipients = job.recipients.map(({ address }, index): RecipientResult => {
    const answer = answers[index] ?? UNAVAILABLE;
    return { address, result: answer.result, reply: answer.reply, relayed: false, ownFault: !answer.spent };
  });
  const spent = answers.some((answer) => answer.spent);
  return { recipients, inDoubt: false, spent, site: spent ? 'reached' : 'failed' };
}

/**
 * Final delivery: one request for all recipients of a message that are due. Idempotent at the other end for `mailbox.ledgerMs`.
 * What a kill cut off between store and record is asked for again at the next start, long before that; only where it is
 * suspended, or delivery is down, for longer is it stored twice. Nobody can tell then whether it was stored, and a copy is
 * better than a bounce of what was not.
 */
export function createMailboxTransport(mailbox: Mailbox): Transport {
  return {
    carries: (hop) => hop.kind === NextHopKind.MAILBOX,
    resolve: async () => RESOLUTION,
    async attempt(job) {
      if (!job.mayFinish()) return { ...concluded(job, []), site: 'reached' };
      const content = Buffer.from(job.content.buffer, job.content.byteOffset, job.content.byteLength);
      const recipients = job.recipients.map(({ address, account }) => ({ account: account || address, address, quotaOctets: 0 }));
      try {
        const { queueId, reversePath, acceptedAtMs, traceparent } = job;
        const { results } = await mailbox.deliver({ id: 0, queueId, reversePath, content, recipients, acceptedAtMs, traceparent });
        return concluded(
          job,
          recipients.map((_, index) => ANSWERS[results[index] ?? DeliverResult.UNAVAILABLE] ?? UNAVAILABLE),
        );
      } catch (error) {
        // A request that the mailbox does not understand is a bug of ours: the mail waits.
        if (error instanceof Unavailable || error instanceof Refused) return concluded(job, []);
        throw error;
      }
    },
    close: async () => {},
  };
}
