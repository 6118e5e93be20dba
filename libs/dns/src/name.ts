import { domainToASCII } from 'node:url';

/** Lower case, without the final dot; the root is "". */
export const plainName = (name: string): string => (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();

/** In A-label form, lower case; undefined where it can be no name (RFC 1035 §2.3.4). */
export function asciiName(name: string): string | undefined {
  const plain = plainName(name);
  const ascii = /^[\x21-\x7e]*$/.test(plain) ? plain : domainToASCII(plain);
  const fits = ascii.length > 0 && ascii.length <= 253 && ascii.split('.').every((label) => label.length > 0 && label.length <= 63);
  return fits ? ascii : undefined;
}
