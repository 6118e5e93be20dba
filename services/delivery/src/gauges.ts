import type { Core } from './core.ts';
import type { Dispatch } from './dispatch.ts';
import type { Ownership } from './ownership/ownership.ts';
import { STATES } from './queue/view.ts';
import type { Upkeep } from './upkeep.ts';

export interface GaugeParts {
  readonly dispatch: Dispatch;
  readonly upkeep: Upkeep;
  readonly ownership: Ownership;
}

/** Gauges that are read when somebody looks. Those that would have to look at every recipient are as of the last round of upkeep. */
export function exportGauges(core: Core, { dispatch, upkeep, ownership }: GaugeParts): void {
  const { metrics, clock } = core.deps;
  const { lanes, scheduler } = core;
  const gauge = (name: string, help: string, read: () => number) => metrics.gaugeOf({ name: `angarium_delivery_${name}`, help }, read);
  const sum = (of: (lane: (typeof lanes)[number]) => number) => () => lanes.reduce((total, lane) => total + of(lane), 0);
  gauge(
    'recipients_live',
    'Recipients that wait or whose notification is not durable.',
    sum(({ fold }) => fold.liveRecipients),
  );
  gauge(
    'recipients_waiting',
    'Recipients without a final fact.',
    sum(({ fold }) => fold.waitingRecipients),
  );
  for (const state of STATES)
    gauge(`recipients_${state}`, `Recipients that are ${state}, as of the last round.`, () => upkeep.census?.byState[state] ?? 0);
  gauge('oldest_ready_age_seconds', 'How long the recipient waits that is ready longest, as of the last round.', () => {
    const sinceMs = upkeep.census?.oldestReadyMs ?? 0;
    return sinceMs === 0 ? 0 : (clock.nowMs() - sinceMs) / 1000;
  });
  gauge('starts_active', 'Look-ups and attempts under way.', () => dispatch.active);
  gauge('remote_active', 'Attempts at other hosts under way.', () => scheduler.activeIn('remote'));
  gauge('mailbox_active', 'Deliveries to the mailbox service under way.', () => scheduler.activeIn('mailbox'));
  gauge('resolves_active', 'Next hops being looked up.', () => scheduler.activeIn('resolve'));
  gauge('dots_unanswered', 'Transactions whose final dot is not answered: a kill now may send them twice.', () => {
    const flights = new Set(core.flights.values());
    return [...flights].filter(({ dotted }) => dotted).length;
  });
  gauge(
    'outcomes_unacknowledged',
    'Records of lanes that are not known to be durable.',
    sum(({ queue }) => queue.pending),
  );
  gauge('outcomes_oldest_seconds', 'Age of the oldest of them.', () => {
    const oldestMs = Math.min(...lanes.map(({ queue }) => queue.oldestMs ?? Number.POSITIVE_INFINITY));
    return Number.isFinite(oldestMs) ? (clock.nowMs() - oldestMs) / 1000 : 0;
  });
  for (const state of ['replaying', 'live', 'halted'] as const)
    gauge(`lanes_${state}`, `Lanes that are ${state}.`, () => lanes.filter((lane) => lane.state === state).length);
  gauge(
    'lanes_recovering',
    'Lanes of the whole log that nobody owns, whose owner is silent, or that are replayed here.',
    () => ownership.recovering().length,
  );
  gauge('watermark_lag_records', 'Records between watermark and tail, the largest over all lanes.', () =>
    Math.max(0, ...lanes.filter(({ state }) => state === 'live').map(({ fold }) => fold.position - fold.watermark())),
  );
  const dead = () => [...scheduler.sites()].filter(({ state }) => state === 'dead').length;
  gauge('sites_dead', 'Sites that cannot be reached.', dead);
  gauge(
    'sites_throttled',
    'Sites that ask to come more slowly.',
    () => [...scheduler.sites()].filter(({ state }) => state === 'throttled').length,
  );
}
