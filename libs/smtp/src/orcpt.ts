import { SMTP_LIMITS } from './limits.ts';
import { isAscii, utf8Octets } from './octets.ts';
import { decodeXtext, encodeXtext } from './xtext.ts';

/** `addr-type` is an atom of the registry of address types (RFC 3461 §4.2). */
const ADDRESS_TYPE = /^[A-Za-z0-9!#$%&'*+\-/?^_`{|}~]+$/;
const isPrintableAscii = (text: string): boolean => /^[\x20-\x7e]+$/.test(text);
const isPrintableUnicode = (text: string): boolean => /^[\x20-\x7e\u00a0-\u{10ffff}]+$/u.test(text) && text.isWellFormed();

/** `QUCHAR / EmbeddedUnicodeChar` of RFC 6533 §3; xtext's own hexchar is taken too. */
function decodeUnitext(text: string): string | undefined {
  if (/[+\\]/.test(text.replace(/\\x\{[0-9A-F]{2,6}\}|\+[0-9A-F]{2}/g, ''))) return undefined;
  let isValid = true;
  const decoded = text.replace(/\\x\{([0-9A-F]{2,6})\}|(?:\+[0-9A-F]{2})+/g, (run, point: string | undefined) => {
    const value = point === undefined ? undefined : Number.parseInt(point, 16);
    if (value === undefined) {
      const octets = decodeXtext(run);
      isValid &&= octets !== undefined;
      return octets ?? '';
    }
    const isScalar = value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
    isValid &&= isScalar;
    return isScalar ? String.fromCodePoint(value) : '';
  });
  return isValid ? decoded : undefined;
}

/**
 * Value of ORCPT, decoded, with its address type ("rfc822;bob@example.org"); `undefined` where it breaks RFC 3461 §4.2 or, for
 * type utf-8, RFC 6533 §3. Raw 8-bit text only with `smtputf8`. At most 500 octets before decoding.
 */
export function parseOrcpt(value: string, { smtputf8 }: { smtputf8: boolean }): string | undefined {
  if (value.length > SMTP_LIMITS.orcptOctets || utf8Octets(value) > SMTP_LIMITS.orcptOctets) return undefined;
  const semicolon = value.indexOf(';');
  const type = value.slice(0, Math.max(0, semicolon));
  if (!ADDRESS_TYPE.test(type) || (!smtputf8 && !isAscii(value))) return undefined;
  const encoded = value.slice(semicolon + 1);
  if (type.toLowerCase() === 'utf-8') {
    const address = decodeUnitext(encoded);
    return address !== undefined && isPrintableUnicode(address) ? `${type};${address}` : undefined;
  }
  const address = decodeXtext(encoded);
  return address !== undefined && isPrintableAscii(address) ? `${type};${address}` : undefined;
}

/**
 * Wire form of what `parseOrcpt` gave. A utf-8 address goes out in raw form only where the host took SMTPUTF8 for the
 * transaction, else with every such character embedded as `\x{...}` (RFC 6533 §3).
 */
export function formatOrcpt(orcpt: string, { smtputf8 }: { smtputf8: boolean }): string {
  const semicolon = orcpt.indexOf(';');
  const type = orcpt.slice(0, semicolon);
  const address = orcpt.slice(semicolon + 1);
  if (type.toLowerCase() !== 'utf-8') return `${type};${encodeXtext(address)}`;
  const unsafe = smtputf8 ? /[^\x21-\x7e\u00a0-\u{10ffff}]|[+=\\]/gu : /[^\x21-\x7e]|[+=\\]/gu;
  const embed = (character: string) => `\\x{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}}`;
  return `${type};${address.replace(unsafe, embed)}`;
}
