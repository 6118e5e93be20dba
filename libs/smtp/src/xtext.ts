/** Octets that xtext keeps as they are: RFC 3461 §4, xchar. */
const isXchar = (octet: number): boolean => octet > 32 && octet < 127 && octet !== 0x2b && octet !== 0x3d;

/** `xtext = *( xchar / hexchar )` of RFC 3461 §4. Characters above 127 are written as their UTF-8 octets. */
export function encodeXtext(text: string): string {
  let encoded = '';
  for (const octet of new TextEncoder().encode(text)) {
    encoded += isXchar(octet) ? String.fromCharCode(octet) : `+${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

const hexDigit = (unit: number): number => {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  return unit >= 0x41 && unit <= 0x46 ? unit - 0x37 : -1; // upper case only
};

/** `undefined` where the text is not xtext, or does not decode to UTF-8. The result may hold control characters. */
export function decodeXtext(text: string): string | undefined {
  const octets = new Uint8Array(text.length);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x2b) {
      const high = hexDigit(text.charCodeAt(at + 1));
      const low = hexDigit(text.charCodeAt(at + 2));
      if (high < 0 || low < 0) return undefined;
      octets[length++] = high * 16 + low;
      at += 2;
    } else if (isXchar(unit)) octets[length++] = unit;
    else return undefined;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets.subarray(0, length));
  } catch {
    return undefined;
  }
}
