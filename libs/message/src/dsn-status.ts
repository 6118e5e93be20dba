import { formatOrcpt, isAscii, printable, type SmtpReply } from '@angarium/smtp';
import { type DsnRecipient, type DsnRequest, replyLines, statusOf } from './dsn-request.ts';
import { atMostOctets, withoutControls, wrap } from './octets.ts';
import { formatDateTime } from './trace.ts';

/** Keeps a field's line well under 998 octets. */
const MAX_LINE = 900;

const ascii = (text: string): string => printable(text, MAX_LINE);

/**
 * `rfc822;a@b`, or for a non-ASCII address `utf-8;` with the address itself in the global form and escaped in the 7-bit
 * form (RFC 6533 §3).
 */
function typedAddress(type: string, address: string, isGlobal: boolean): string {
  if (type.toLowerCase() !== 'utf-8' && isAscii(address)) return ascii(`${type};${address}`);
  const typed = `utf-8;${withoutControls(address)}`;
  return atMostOctets(isGlobal ? typed : formatOrcpt(typed, { smtputf8: false }), MAX_LINE);
}

/** ORCPT as the sender gave it: type before the first semicolon (RFC 3461 §4.2). */
function originalRecipient(orcpt: string, isGlobal: boolean): string {
  const semicolon = orcpt.indexOf(';');
  return semicolon > 0
    ? typedAddress(orcpt.slice(0, semicolon), orcpt.slice(semicolon + 1), isGlobal)
    : typedAddress('unknown', orcpt, isGlobal);
}

/** RFC 3461 §9.2: one reply line a folded line; our own words without a reply code have no SMTP form. */
function diagnostic(reply: SmtpReply): string {
  const lines = replyLines(reply).flatMap((line) => wrap(printable(line, line.length), MAX_LINE));
  return `${reply.code === 0 ? 'x-angarium' : 'smtp'}; ${lines.join('\r\n ')}`;
}

function field(name: string, value: string | undefined): string {
  return value === undefined ? '' : `${name}: ${value}\r\n`;
}

function date(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : formatDateTime(ms);
}

/** Per-recipient fields in the order of RFC 3464 §2.3. */
function recipientFields(o: DsnRequest, recipient: DsnRecipient, isGlobal: boolean): string {
  const { orcpt, reply, remoteMta, action } = recipient;
  return [
    field('Original-Recipient', orcpt ? originalRecipient(orcpt, isGlobal) : undefined),
    field('Final-Recipient', typedAddress('rfc822', recipient.finalRecipient, isGlobal)),
    field('Action', action),
    field('Status', statusOf(recipient)),
    field('Remote-MTA', remoteMta ? `dns; ${printable(remoteMta, 255)}` : undefined),
    field('Diagnostic-Code', reply && diagnostic(reply)),
    field('Last-Attempt-Date', date(recipient.lastAttemptMs)),
    field('Final-Log-ID', ascii(o.queueId)),
    field('Will-Retry-Until', action === 'delayed' ? date(recipient.willRetryUntilMs) : undefined),
  ].join('');
}

/**
 * Body of message/delivery-status (RFC 3464 §2.1) or, if `isGlobal`, of message/global-delivery-status (RFC 6533 §4.1).
 * ENVID stands there decoded (RFC 3461 §6.3).
 */
export function formatStatus(o: DsnRequest, isGlobal: boolean): string {
  const message = [
    field('Original-Envelope-Id', o.envid ? ascii(o.envid) : undefined),
    field('Reporting-MTA', `dns; ${ascii(o.reportingMta)}`),
    field('Arrival-Date', formatDateTime(o.arrivalMs)),
  ].join('');
  return [message, ...o.recipients.map((recipient) => recipientFields(o, recipient, isGlobal))].join('\r\n');
}
