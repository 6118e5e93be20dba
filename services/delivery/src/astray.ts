import type { Core } from './core.ts';
import { asNow } from './flights.ts';
import type { Census } from './queue/summary.ts';

/**
 * Recipients that are queued in lanes of ours and that nothing here would ever try: they wait at no site, are not being looked
 * up, not under way and not set aside. Always 0, or a defect of ours, for which a restart is the cure. Right in a moment; who
 * waits for the lease to be asked again, or for a lane that comes or goes, is in between, and then nothing is told.
 *
 * Cost: one look at each recipient under way, and at each unit's number.
 */
export function countAstray({ lanes, flights, units, care, mayAct }: Core, { byState }: Census): number {
  const isSettled = lanes.every((lane) => lane.state === 'halted' || (lane.state === 'live' && mayAct(lane)));
  if (!isSettled) return 0;
  const queued = lanes.reduce((sum, { state, fold }) => sum + (state === 'live' ? fold.waitingRecipients : 0), 0);
  const underWay = asNow([...flights.entries()].map(([recipient]) => recipient)).filter(({ state }) => state === 'waiting').length;
  const known = byState.ready + byState.deferred + byState.suspended + units.recipientsAway() + underWay + care.recipientsSetAside();
  return Math.max(0, queued - known);
}
