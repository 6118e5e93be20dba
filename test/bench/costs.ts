/** By name. */
export type Costs = Readonly<Record<string, number>>;

/** By how much a cost may exceed its baseline; what has none here may not by more than a twentieth. */
export const TOLERANCES: Costs = {
  // What rides in which batch depends on the clock a little.
  'batches per message': 0.2,
  'system calls per message': 0.3,
  'minor collections per message': 0.3,
  // So does what the columns have grown to.
  'heap octets per queued message': 0.5,
};
const USUAL = 0.05;

/** A line for each cost that has grown, or is measured no more. */
export function compareCosts(baseline: Costs, found: Costs, tolerances: Costs): readonly string[] {
  return Object.entries(baseline).flatMap(([name, was]) => {
    const now = found[name];
    if (now === undefined) return [`${name}: not measured any more`];
    const most = was * (1 + (tolerances[name] ?? USUAL));
    return now <= most ? [] : [`${name}: ${now.toFixed(3)}, was ${was.toFixed(3)}, at most ${most.toFixed(3)}`];
  });
}
