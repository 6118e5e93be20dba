import { domainToASCII } from 'node:url';
import { SMTP_LIMITS } from './limits.ts';
import { isAscii, utf8Octets } from './octets.ts';

/** `sub-domain *("." sub-domain)`, `sub-domain = Let-dig [Ldh-str]` (RFC 5321 §4.1.2); a label has at most 63 octets (RFC 1035 §2.3.4). */
const DOMAIN = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
/** `Standardized-tag ":" 1*dcontent` (RFC 5321 §4.1.3); no tag here ends in a hyphen. */
const GENERAL_LITERAL = /^([A-Za-z0-9-]*[A-Za-z0-9]):[\x21-\x5a\x5e-\x7e]+$/;
const IPV6_TAG = 'ipv6:';

function isAsciiDomain(domain: string): boolean {
  return domain.length <= SMTP_LIMITS.domainOctets && DOMAIN.test(domain);
}

/** `Snum 3("." Snum)`: three digits at most, 255 at most. */
export function isIpv4(text: string): boolean {
  const numbers = text.split('.', 5);
  return numbers.length === 4 && numbers.every((number) => /^\d{1,3}$/.test(number) && Number(number) <= 255);
}

/** Groups of 16 bits that one side of a "::" spells out, an IPv4 tail counting as two; NaN where it is broken. */
function ipv6Groups(side: string, { isTail }: { isTail: boolean }): number {
  if (side === '') return 0;
  const parts = side.split(':');
  const tail = isTail && isIpv4(parts.at(-1) ?? '') ? parts.splice(-1).length : 0;
  return parts.every((part) => /^[0-9A-Fa-f]{1,4}$/.test(part)) ? parts.length + 2 * tail : Number.NaN;
}

/** `IPv6-addr` of RFC 5321 §4.1.3: "::" stands for at least two groups of zeros; the tail may be IPv4. */
export function isIpv6(text: string): boolean {
  if (text.length > 45) return false;
  const [left = '', right, more] = text.split('::');
  if (more !== undefined) return false;
  if (right === undefined) return ipv6Groups(left, { isTail: true }) === 8;
  return ipv6Groups(left, { isTail: false }) + ipv6Groups(right, { isTail: true }) <= 6;
}

function isLiteral(text: string): boolean {
  if (text.length > SMTP_LIMITS.domainOctets || !text.endsWith(']')) return false;
  const inner = text.slice(1, -1);
  if (inner.toLowerCase().startsWith(IPV6_TAG)) return isIpv6(inner.slice(IPV6_TAG.length));
  return isIpv4(inner) || GENERAL_LITERAL.test(inner);
}

/** Empty where the domain has no A-label form. A name that Unicode mapping would turn into an IPv4 address has none. */
function toALabels(domain: string): string {
  if (utf8Octets(domain) > SMTP_LIMITS.domainOctets) return '';
  const ascii = domainToASCII(domain);
  return isAsciiDomain(ascii) && !/(?:^|\.)\d+$/.test(ascii) ? ascii : '';
}

/** What may stand in a domain of U-labels besides letters, digits, hyphens and dots. */
const isDomainText = (text: string): boolean => /^[A-Za-z0-9.\-\u00a0-\u{10ffff}]+$/u.test(text);

/**
 * `Domain / address-literal` (RFC 5321 §4.1.2, §4.1.3), at most 255 octets; with `smtputf8` also U-labels (RFC 6531 §3.3).
 * No trailing dot, no underscore.
 */
export function isDomain(text: string, { smtputf8 }: { smtputf8: boolean }): boolean {
  if (text.startsWith('[')) return isLiteral(text);
  if (isAscii(text)) return isAsciiDomain(text);
  return smtputf8 && isDomainText(text) && toALabels(text) !== '';
}

/**
 * Form of a domain for lookups and comparing: lower case, A-labels, no trailing dot; a literal in lower case.
 * Text that is no domain comes back in lower case, unchanged otherwise.
 */
export function canonicalDomain(domain: string): string {
  if (domain.startsWith('[')) return domain.toLowerCase();
  const name = domain.endsWith('.') ? domain.slice(0, -1) : domain;
  if (isAscii(name)) return name.toLowerCase();
  return toALabels(name) || name.toLowerCase();
}
