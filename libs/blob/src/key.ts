const KEY = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;
const KEY_MAX_OCTETS = 200;

/** @throws RangeError for a key outside the port's grammar: no part begins with a dot, so none leaves its folder */
export function checkKey(key: string): void {
  if (key.length > KEY_MAX_OCTETS || !KEY.test(key)) throw new RangeError(`blob key: ${JSON.stringify(key.slice(0, KEY_MAX_OCTETS))}`);
}
