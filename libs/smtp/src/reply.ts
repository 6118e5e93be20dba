import { SMTP_LIMITS } from './limits.ts';
import { printable } from './octets.ts';

export interface SmtpReply {
  readonly code: number;
  /** `class.subject.detail` (RFC 3463 §2); absent in 3yz and in answers to HELO and EHLO (RFC 2034 §3). */
  readonly enhanced?: string;
  /** Lines joined by LF; no internals: strangers read it. */
  readonly text: string;
}

/**
 * Reply whose enhanced class is the first digit of `code` (RFC 2034 §4): `451 5.x.x` cannot be built.
 *
 * @param status subject and detail, e.g. `[1, 1]` for "bad destination mailbox address"
 * @throws RangeError when `code` is not 2yz, 4yz or 5yz, or `text` holds CR or LF
 */
export function smtpReply(code: number, status: readonly [subject: number, detail: number], text: string): SmtpReply {
  const replyClass = Math.floor(code / 100);
  if (replyClass !== 2 && replyClass !== 4 && replyClass !== 5) throw new RangeError(`reply code: ${code}`);
  if (/[\r\n]/.test(text)) throw new RangeError('reply text must be one line');
  return { code, enhanced: `${replyClass}.${status[0]}.${status[1]}`, text };
}

function wrap(line: string, maxOctets: number): string[] {
  const parts: string[] = [];
  for (let at = 0; at < line.length; at += maxOctets) parts.push(line.slice(at, at + maxOctets));
  return parts.length === 0 ? [''] : parts;
}

/** What nearly all replies are: nothing to replace, to wrap or to split. */
const ONE_PRINTABLE_LINE = /^[\x20-\x7e]*$/;

/**
 * Wire form with CRLF (RFC 5321 §4.2.1): printable ASCII only, no line over 512 octets (a longer one goes on in the next),
 * the enhanced code on every line (RFC 2034 §3).
 */
export function formatReply({ code, enhanced, text }: SmtpReply): string {
  const status = enhanced === undefined ? '' : `${enhanced} `;
  const room = SMTP_LIMITS.replyLineOctets - `${code} ${status}\r\n`.length;
  if (text.length <= room && ONE_PRINTABLE_LINE.test(text)) return `${code} ${status}${text}\r\n`;
  const lines = text.split('\n').flatMap((line) => wrap(printable(line, line.length), room));
  return lines.map((line, at) => `${code}${at === lines.length - 1 ? ' ' : '-'}${status}${line}\r\n`).join('');
}

/** Whom a reply concerns: the host (greeting, EHLO, STARTTLS), one recipient (RCPT), or the message (MAIL, DATA, final dot). */
export type ReplyStage = 'session' | 'recipient' | 'message';

/**
 * What a remote host's reply means for a recipient. Unknown means deferred.
 *
 * 5yz to greeting or EHLO defers: another host may answer otherwise. 552 to RCPT counts as 452 (RFC 5321 §4.5.3.1.10).
 */
export function classifyReply(stage: ReplyStage, code: number): 'delivered' | 'deferred' | 'bounced' {
  if (code >= 200 && code < 300) return 'delivered';
  const isPermanent = code >= 500 && code < 600 && stage !== 'session' && !(stage === 'recipient' && code === 552);
  return isPermanent ? 'bounced' : 'deferred';
}
