import { classifyReply, printable, type ReplyStage } from '@angarium/smtp';
import type { RemoteReply } from './port.ts';
import { type HostReply, MAX_TEXT_OCTETS } from './smtp/reply.ts';
import type { SessionFailure } from './smtp/session.ts';
import type { TransactionResult } from './smtp/transaction.ts';

/** What one transaction says about one recipient. */
export type Conclusion =
  | { readonly is: 'done'; readonly result: 'delivered' | 'deferred' | 'bounced'; readonly reply: RemoteReply; readonly inDoubt?: true }
  /** Too many recipients at once: goes on in a further transaction on the same connection. */
  | { readonly is: 'again'; readonly reply: RemoteReply }
  /** Not this host's word about the recipient: another host is asked. */
  | { readonly is: 'elsewhere'; readonly reply: RemoteReply };

/** Reply of our own: code 0, no remote host. */
export const ownReply = (enhanced: string, text: string): RemoteReply => ({
  code: 0,
  enhanced,
  // Errors of TLS hold line ends, and names out of a stranger's certificate.
  text: printable(text.replace(/\s+/g, ' ').trim(), MAX_TEXT_OCTETS),
  remoteHost: '',
});

/** What is no reply of SMTP is our word about the host, not the host's. */
export const remoteReply = ({ code, enhanced, text }: HostReply, host: string): RemoteReply =>
  code === 0 ? ownReply(enhanced, text) : { code, enhanced, text, remoteHost: host };

const FAILURE_STATUS: Readonly<Record<SessionFailure['kind'], string>> = {
  lost: '4.4.2',
  timeout: '4.4.2',
  tls: '4.7.5',
  refused: '4.4.2',
  protocol: '4.5.0',
  closed: '4.4.2',
};

export function failureReply(failure: SessionFailure, host: string): RemoteReply {
  if (failure.reply) return remoteReply(failure.reply, host);
  return ownReply(FAILURE_STATUS[failure.kind], `${host}: ${failure.text}`);
}

/**
 * Whether a reply asks to come more slowly: 421 and 450 to 452 whose text says so. Hosts have no code for it; "too many
 * recipients" of one transaction is something else.
 */
export function isThrottling({ code, text }: { readonly code: number; readonly text: string }): boolean {
  if (code !== 421 && !(code >= 450 && code <= 452)) return false;
  if (/too many recipients/i.test(text)) return false;
  return /too (?:many|fast|much)|\brate\b|\brate-?limit|throttl|slow(?:er)? down|concurren|connection limit|limit exceeded|busy|overload|temporarily deferred|unusual/i.test(
    text,
  );
}

const ok = (reply: HostReply | undefined): boolean => reply !== undefined && reply.code >= 200 && reply.code < 300;
const understood = ({ code }: HostReply): boolean => (code >= 200 && code < 300) || (code >= 400 && code < 600);

function classified(stage: ReplyStage, reply: HostReply, host: string): Conclusion {
  if (!understood(reply)) {
    const text = reply.code === 0 ? reply.text : `protocol error, the host said: ${reply.code} ${reply.text}`;
    return { is: 'done', result: 'deferred', reply: ownReply('4.5.0', text) };
  }
  return { is: 'done', result: classifyReply(stage, reply.code), reply: remoteReply(reply, host) };
}

const tooMany = (reply: HostReply): boolean => reply.code === 452 || reply.code === 552;

/** The verdict on the message, for recipients that were accepted and whose final dot went out or whose message was refused. */
function concludeMessage(result: TransactionResult, host: string): Conclusion {
  const { final, dotted, failure } = result;
  if (!final) {
    const text = failure?.kind === 'timeout' ? 'no reply to the message in time' : 'connection lost after the message was sent';
    return { is: 'done', result: 'deferred', reply: ownReply('4.4.2', `${host}: ${text}; it may have been accepted`), inDoubt: true };
  }
  const conclusion = classified('message', final, host);
  // Whatever that was, it was not a refusal: the host may have taken the message.
  if (conclusion.is === 'done' && dotted && !understood(final)) return { ...conclusion, inDoubt: true };
  return conclusion;
}

/** Verdict where the transaction ended before the message was judged. */
function concludeUnfinished(result: TransactionResult, host: string): Conclusion {
  const { mail, data, failure, withheld } = result;
  if (withheld) return { is: 'done', result: 'deferred', reply: ownReply('4.0.0', 'withheld before the final dot') };
  if (mail && !ok(mail)) {
    const conclusion = classified('message', mail, host);
    // A host that cannot take this sender now says nothing about the next host (RFC 5321 §5.1).
    return conclusion.is === 'done' && conclusion.result === 'deferred' ? { is: 'elsewhere', reply: conclusion.reply } : conclusion;
  }
  if (data) {
    const conclusion = classified('message', data, host);
    return conclusion.is === 'done' && conclusion.result === 'delivered'
      ? { is: 'done', result: 'deferred', reply: ownReply('4.5.0', `protocol error, the host answered DATA with ${data.code}`) }
      : conclusion;
  }
  const reply = failure ? failureReply(failure, host) : ownReply('4.5.0', `${host}: the transaction broke off`);
  // The host is closing down and said so: its word for today. A connection that broke is nobody's word.
  return mail && failure?.kind === 'closed' ? { is: 'done', result: 'deferred', reply } : { is: 'elsewhere', reply };
}

/** What the transaction says about its recipient number `index`; exactly one conclusion, whatever the host did. */
export function concludeRecipient(result: TransactionResult, index: number, host: string): Conclusion {
  const reply = result.recipients[index];
  const judged = result.dotted || result.final !== undefined;
  if (reply && !ok(reply) && ok(result.mail)) {
    const others = result.recipients.some(ok);
    const conclusion = classified('recipient', reply, host);
    if (!tooMany(reply) || !others || !judged || conclusion.is !== 'done') return conclusion;
    return ok(result.final) || (result.final && result.final.code >= 500) ? { is: 'again', reply: conclusion.reply } : conclusion;
  }
  return judged && ok(reply) ? concludeMessage(result, host) : concludeUnfinished(result, host);
}
