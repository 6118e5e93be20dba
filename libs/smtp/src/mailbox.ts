import { canonicalDomain, isDomain } from './domain.ts';
import { SMTP_LIMITS } from './limits.ts';
import { isAscii, utf8Octets } from './octets.ts';

/** Address as it was sent: quotes of the local part, A-labels and the brackets of a literal are kept. */
export interface Mailbox {
  readonly localPart: string;
  readonly domain: string;
}

const DOT_STRING = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u00a0-\u{10ffff}]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u00a0-\u{10ffff}]+)*$/u;
const QUOTED_STRING = /^"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u00a0-\u{10ffff}]|\\[\x20-\x7e])*"$/u;
/** What a decoder makes of octets that are not UTF-8; nobody's address holds it. */
const REPLACEMENT_CHARACTER = '\ufffd';

function isLocalPart(text: string): boolean {
  if (utf8Octets(text) > SMTP_LIMITS.localPartOctets || text.includes(REPLACEMENT_CHARACTER)) return false;
  return text.isWellFormed() && (text.startsWith('"') ? QUOTED_STRING : DOT_STRING).test(text);
}

/** The domain starts behind the last `@`, or behind `@[` where it is a literal, which may hold an `@` itself. */
function splitAt(address: string): number {
  return address.endsWith(']') ? address.lastIndexOf('@[') : address.lastIndexOf('@');
}

/**
 * `Mailbox` of RFC 5321 §4.1.2 ("local@domain", no angle brackets); with `smtputf8` as extended by RFC 6531 §3.3.
 *
 * Local part at most 64 octets, domain 255, the whole 254 (a path has 256 with its brackets). Linear in the text's length.
 */
export function parseMailbox(text: string, { smtputf8 }: { smtputf8: boolean }): Mailbox | undefined {
  // No character takes less than one octet: the cheap test first keeps the rest bounded.
  if (text.length > SMTP_LIMITS.pathOctets - 2 || utf8Octets(text) > SMTP_LIMITS.pathOctets - 2) return undefined;
  if (!smtputf8 && !isAscii(text)) return undefined;
  const mailbox = splitAddress(text);
  return mailbox && isLocalPart(mailbox.localPart) && isDomain(mailbox.domain, { smtputf8 }) ? mailbox : undefined;
}

export function formatMailbox({ localPart, domain }: Mailbox): string {
  return `${localPart}@${domain}`;
}

/** Splits an address that was parsed before; nothing is checked but that there are two parts. */
export function splitAddress(address: string): Mailbox | undefined {
  const at = splitAt(address);
  return at < 1 || at === address.length - 1 ? undefined : { localPart: address.slice(0, at), domain: address.slice(at + 1) };
}

function canonicalLocalPart(localPart: string): string {
  const text = localPart.normalize('NFC').toLowerCase();
  if (!text.startsWith('"') || !text.endsWith('"') || text.length < 2) return text;
  const content = text.slice(1, -1).replace(/\\(.)/gsu, '$1');
  return DOT_STRING.test(content) ? content : `"${content.replace(/["\\]/g, '\\$&')}"`;
}

/**
 * Key of an address for lookups and comparing: local part in lower case (we hold no two mailboxes that differ in case), NFC,
 * with no quotes it can do without; domain canonical. Text without two parts comes back in lower case.
 */
export function canonicalAddress(address: string): string {
  const mailbox = splitAddress(address);
  if (!mailbox) return address.toLowerCase();
  return `${canonicalLocalPart(mailbox.localPart)}@${canonicalDomain(mailbox.domain)}`;
}
