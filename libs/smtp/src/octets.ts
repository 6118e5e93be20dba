/** Only octets below 128. */
export function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 127) return false;
  return true;
}

/** Length in UTF-8. Lone surrogates count three octets, as the encoder's replacement does. */
export function utf8Octets(text: string): number {
  let octets = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) octets += 1;
    else if (unit < 0x800) octets += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      octets += 4;
      at++;
    } else octets += 3;
  }
  return octets;
}

/**
 * Text made safe for replies, logs and reports: every control or 8-bit character becomes `?`, then cut to `maxOctets`
 * (inclusive). The result is printable ASCII, so octets are characters.
 */
export function printable(text: string, maxOctets: number): string {
  return text
    .slice(0, Math.max(0, maxOctets) * 2)
    .replace(/[^\x20-\x7e]/gu, '?')
    .slice(0, Math.max(0, maxOctets));
}
