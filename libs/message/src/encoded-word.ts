import { Buffer } from 'node:buffer';

/**
 * `=?charset*language?B or Q?text?=` (RFC 2047 §2, RFC 2231 §5). Longer ones, and with a `?` inside, than are allowed: some
 * readers decode them.
 */
const ENCODED_WORD = /=\?([^?*\s]{1,64})(?:\*[^?\s]{0,64})?\?([bq])\?(.{0,1000}?)\?=/gi;
const BETWEEN_ENCODED_WORDS = /\?=[ \t]+(?==\?)/g;

function octetsOf(encoding: string, text: string): Buffer {
  if (encoding.toLowerCase() === 'b') return Buffer.from(text, 'base64');
  const unescaped = text.replaceAll('_', ' ').replace(/=([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(unescaped, 'latin1');
}

/**
 * The text that a reader shows for an unfolded field value with encoded words (RFC 2047 §6.2): adjacent words are joined.
 * Undefined when one of them names a charset that is not known here: what it shows cannot be told.
 */
export function decodeEncodedWords(text: string): string | undefined {
  let unknown = false;
  const decoded = text.replace(BETWEEN_ENCODED_WORDS, '?=').replace(ENCODED_WORD, (_, charset, encoding, word) => {
    try {
      return new TextDecoder(charset).decode(octetsOf(encoding, word));
    } catch {
      unknown = true;
      return '';
    }
  });
  return unknown ? undefined : decoded;
}
