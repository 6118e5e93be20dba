/**
 * Divides whole units by demand: nobody gets more than it wants, and nobody more than another one that wants more still.
 * Leftovers go to the first.
 */
export function fairShares(units: number, wants: readonly number[]): number[] {
  const shares = wants.map(() => 0);
  let left = units;
  let open = wants.map((_, at) => at).filter((at) => (wants[at] ?? 0) > 0);
  while (left > 0 && open.length > 0) {
    const each = Math.max(1, Math.floor(left / open.length));
    for (const at of open) {
      const more = Math.min(each, left, (wants[at] ?? 0) - (shares[at] ?? 0));
      shares[at] = (shares[at] ?? 0) + more;
      left -= more;
    }
    open = open.filter((at) => (shares[at] ?? 0) < (wants[at] ?? 0));
  }
  return shares;
}
