/** NOTIFY of RFC 3461 §4.1 as the bit set of the log's records; 0 is absent. */
export const NOTIFY = { NEVER: 1, SUCCESS: 2, FAILURE: 4, DELAY: 8 } as const;

const BIT_BY_NAME: ReadonlyMap<string, number> = new Map(Object.entries(NOTIFY));

/** `"NEVER" / 1#notify-list-element`, in any case; `undefined` where it is neither. */
export function parseNotify(value: string): number | undefined {
  if (value.length > 128) return undefined;
  let bits = 0;
  for (const name of value.toUpperCase().split(',')) {
    const bit = BIT_BY_NAME.get(name);
    if (bit === undefined) return undefined;
    bits |= bit;
  }
  return bits & NOTIFY.NEVER && bits !== NOTIFY.NEVER ? undefined : bits;
}

/** Empty for 0: the parameter is left out then. */
export function formatNotify(bits: number): string {
  return [...BIT_BY_NAME].flatMap(([name, bit]) => (bits & bit ? [name] : [])).join(',');
}
