const KEY = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;
/** Whole parts, then a part that may be cut. */
const BEGINNING = /^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*(?:[A-Za-z0-9_-][A-Za-z0-9._-]*)?$/;
const KEY_MAX_OCTETS = 200;

export const isKey = (text: string): boolean => text.length <= KEY_MAX_OCTETS && KEY.test(text);

/** Whether a key can begin so; the empty beginning is that of every key. */
export const canBeginKey = (prefix: string): boolean => BEGINNING.test(prefix);

/** @throws RangeError for a key outside the port's grammar: no part begins with a dot, so none leaves its folder */
export function checkKey(key: string): void {
  if (!isKey(key)) throw new RangeError(`blob key: ${JSON.stringify(key.slice(0, KEY_MAX_OCTETS))}`);
}
