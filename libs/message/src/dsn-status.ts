import { type DsnRecipient, type DsnReply, type DsnRequest, replyLines, statusOf } from './dsn-request.ts';
import { asciiText, isAsciiText, withoutControls, wrap } from './octets.ts';
import { formatDateTime } from './trace.ts';

const MAX_LINE = 900;

/** Non-ASCII, blanks and what xtext would escape, as `\x{HEX}` (RFC 6533 §3, utf-8-addr-xtext). */
function escapeUnicode(address: string): string {
  return address.replace(/[^!-*,-<>-[\]-~]/gu, (char) => `\\x{${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}}`);
}

/** Undoes it; one that names no character stays as it is. */
function unescapeUnicode(address: string): string {
  return address.replace(/\\x\{([0-9a-f]{2,6})\}/gi, (written, hex) => {
    const point = Number.parseInt(hex, 16);
    const isCharacter = point >= 32 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    return isCharacter ? String.fromCodePoint(point) : written;
  });
}

/**
 * `rfc822;a@b`, or for a non-ASCII address `utf-8;` with the address itself in the global form and escaped in the 7-bit
 * form (RFC 6533 §3).
 */
function typedAddress(type: string, address: string, isGlobal: boolean): string {
  if (type.toLowerCase() === 'utf-8') {
    const plain = unescapeUnicode(address);
    return `utf-8;${withoutControls(isGlobal ? plain : isAsciiText(address) ? address : escapeUnicode(plain))}`;
  }
  return isAsciiText(address) ? `${asciiText(type)};${asciiText(address)}` : typedAddress('utf-8', address, isGlobal);
}

/** ORCPT as the sender gave it: type before the first semicolon (RFC 3461 §4.2). */
function originalRecipient(orcpt: string, isGlobal: boolean): string {
  const semicolon = orcpt.indexOf(';');
  return semicolon > 0
    ? typedAddress(orcpt.slice(0, semicolon), orcpt.slice(semicolon + 1), isGlobal)
    : typedAddress('unknown', orcpt, isGlobal);
}

/** RFC 3461 §9.2: one reply line a folded line; our own words without a reply code have no SMTP form. */
function diagnostic(reply: DsnReply): string {
  const lines = replyLines(reply).flatMap((line) => wrap(asciiText(line), MAX_LINE));
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
    field('Remote-MTA', remoteMta ? `dns; ${asciiText(remoteMta).slice(0, 255)}` : undefined),
    field('Diagnostic-Code', reply && diagnostic(reply)),
    field('Last-Attempt-Date', date(recipient.lastAttemptMs)),
    field('Final-Log-ID', asciiText(o.queueId)),
    field('Will-Retry-Until', action === 'delayed' ? date(recipient.willRetryUntilMs) : undefined),
  ].join('');
}

/**
 * Body of message/delivery-status (RFC 3464 §2.1) or, if `isGlobal`, of message/global-delivery-status (RFC 6533 §4.1).
 * ENVID stands there decoded (RFC 3461 §6.3).
 */
export function formatStatus(o: DsnRequest, isGlobal: boolean): string {
  const message = [
    field('Original-Envelope-Id', o.envid ? asciiText(o.envid).slice(0, MAX_LINE) : undefined),
    field('Reporting-MTA', `dns; ${asciiText(o.reportingMta)}`),
    field('Arrival-Date', formatDateTime(o.arrivalMs)),
  ].join('');
  return [message, ...o.recipients.map((recipient) => recipientFields(o, recipient, isGlobal))].join('\r\n');
}
