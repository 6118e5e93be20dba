import { type MetricTable, type Reading, registerGauges } from '@angarium/runtime';
import { AGES } from './ages.ts';
import type { Core } from './core.ts';
import type { Dispatch } from './dispatch.ts';
import type { Lane } from './lane/lane.ts';
import type { Ownership } from './ownership/ownership.ts';
import type { STATES } from './queue/view.ts';
import type { Upkeep } from './upkeep.ts';

const gauge = <const Name extends string>(name: Name, help: string) =>
  ({ kind: 'gauge', name: `angarium_delivery_${name}`, help }) as const;

const QUEUE_GAUGES = {
  live: gauge('recipients_live', 'Recipients that wait or whose notification is not durable.'),
  waiting: gauge('recipients_waiting', 'Recipients without a final fact.'),
  ready: gauge('recipients_ready', 'Recipients that are ready, as of the last round.'),
  deferred: gauge('recipients_deferred', 'Recipients that are deferred, as of the last round.'),
  suspended: gauge('recipients_suspended', 'Recipients that are suspended, as of the last round.'),
  active: gauge('recipients_active', 'Recipients that are active, as of the last round.'),
  notifying: gauge('recipients_notifying', 'Recipients that are notifying, as of the last round.'),
  queued: {
    ...gauge('queued_recipients', 'Recipients that are queued, by what they wait for, as of the last round.'),
    labels: { state: ['in_flight', 'due', 'waiting', 'suspended'] },
  },
  ages: {
    ...gauge(
      'queued_age_recipients',
      'Recipients that are queued, by age, each counted once: up to 5m, then up to 1h; as of the last round.',
    ),
    labels: { age: AGES },
  },
  oldestReady: gauge('oldest_ready_age_seconds', 'How long the recipient waits that is ready longest, as of the last round.'),
  astray: gauge('recipients_astray', 'Recipients that are queued and that nothing would ever try, in two rounds in a row: 0, or a defect.'),
  oldestDue: gauge('oldest_due_seconds', 'How long the recipient is due that is due longest; 0: none is. As of the last round.'),
} as const satisfies MetricTable;

const WORK_GAUGES = {
  starts: gauge('starts_active', 'Look-ups and attempts under way.'),
  remote: gauge('remote_active', 'Attempts at other hosts under way.'),
  mailbox: gauge('mailbox_active', 'Deliveries to the mailbox service under way.'),
  resolves: gauge('resolves_active', 'Next hops being looked up.'),
  dots: gauge('dots_unanswered', 'Transactions whose final dot is not answered: a kill now may send them twice.'),
  unacknowledged: gauge('outcomes_unacknowledged', 'Records of lanes that are not known to be durable.'),
  oldestOutcome: gauge('outcomes_oldest_seconds', 'Age of the oldest record of a lane that is not known to be durable.'),
  dead: gauge('sites_dead', 'Sites that cannot be reached.'),
  throttled: gauge('sites_throttled', 'Sites that ask to come more slowly.'),
} as const satisfies MetricTable;

const laneGauges = (lanes: readonly string[]) =>
  ({
    replaying: gauge('lanes_replaying', 'Lanes that are replaying.'),
    live: gauge('lanes_live', 'Lanes that are live.'),
    halted: gauge('lanes_halted', 'Lanes that are halted.'),
    byState: {
      ...gauge('lanes', 'Lanes of this worker by state.'),
      labels: { state: ['owned', 'replaying', 'draining'] },
    },
    recovering: gauge('lanes_recovering', 'Lanes of the whole log that nobody owns, whose owner is silent, or that are replayed here.'),
    unowned: gauge('lanes_unowned', 'Lanes of the whole log whose owner is gone, as this worker has read the lease log; alone, 0.'),
    epoch: { ...gauge('lane_epoch', 'Epoch of each lane that this worker has: how often it changed hands.'), labels: { lane: lanes } },
    lag: gauge(
      'watermark_lag_records',
      'Records between watermark and tail, the largest over the lanes of this worker, as of the last round.',
    ),
  }) as const satisfies MetricTable;

/** Everything that is read at a scrape. */
export const DELIVERY_GAUGES: readonly MetricTable[] = [QUEUE_GAUGES, WORK_GAUGES, laneGauges([])];

export interface GaugeParts {
  readonly dispatch: Dispatch;
  readonly upkeep: Upkeep;
  readonly ownership: Ownership;
}

const sumOf = (lanes: readonly Lane[], of: (lane: Lane) => number): number => lanes.reduce((total, lane) => total + of(lane), 0);

function exportQueue({ lanes, deps }: Core, upkeep: Upkeep): void {
  const recipients = (state: (typeof STATES)[number]) => () => upkeep.seen?.census.byState[state] ?? 0;
  const oldestReady = () => {
    const sinceMs = upkeep.seen?.census.oldestReadyMs ?? 0;
    return sinceMs === 0 ? 0 : Math.max(0, deps.clock.nowMs() - sinceMs) / 1000;
  };
  registerGauges(deps.metrics, QUEUE_GAUGES, {
    live: () => sumOf(lanes, ({ fold }) => fold.liveRecipients),
    waiting: () => sumOf(lanes, ({ fold }) => fold.waitingRecipients),
    ready: recipients('ready'),
    deferred: recipients('deferred'),
    suspended: recipients('suspended'),
    active: recipients('active'),
    notifying: recipients('notifying'),
    queued: () => [
      [recipients('active')(), { state: 'in_flight' }],
      [recipients('ready')(), { state: 'due' }],
      [recipients('deferred')(), { state: 'waiting' }],
      [recipients('suspended')(), { state: 'suspended' }],
    ],
    ages: () => AGES.map((age, at) => [upkeep.seen?.ages[at] ?? 0, { age }] as const),
    astray: () => upkeep.seen?.astray ?? 0,
    oldestReady,
    oldestDue: oldestReady,
  });
}

function exportWork({ lanes, deps, scheduler, flights }: Core, dispatch: Dispatch): void {
  const sites = (state: 'dead' | 'throttled') => () => [...scheduler.sites()].filter((site) => site.state === state).length;
  registerGauges(deps.metrics, WORK_GAUGES, {
    starts: () => dispatch.active,
    remote: () => scheduler.activeIn('remote'),
    mailbox: () => scheduler.activeIn('mailbox'),
    resolves: () => scheduler.activeIn('resolve'),
    dots: () => [...new Set(flights.values())].filter(({ dotted }) => dotted).length,
    unacknowledged: () => sumOf(lanes, ({ queue }) => queue.pending),
    oldestOutcome: () => {
      const oldestMs = Math.min(...lanes.map(({ queue }) => queue.oldestMs ?? Number.POSITIVE_INFINITY));
      return Number.isFinite(oldestMs) ? (deps.clock.nowMs() - oldestMs) / 1000 : 0;
    },
    dead: sites('dead'),
    throttled: sites('throttled'),
  });
}

function exportLanes({ lanes, deps }: Core, { upkeep, ownership }: Omit<GaugeParts, 'dispatch'>): void {
  const numbers = Array.from({ length: deps.log.partitions('mail.lane') }, (_, number) => `${number}`);
  const inState = (state: Lane['state']) => () => lanes.filter((lane) => lane.state === state).length;
  registerGauges(deps.metrics, laneGauges(numbers), {
    replaying: inState('replaying'),
    live: inState('live'),
    halted: inState('halted'),
    byState: (): Reading => [
      [inState('live')(), { state: 'owned' }],
      [inState('replaying')(), { state: 'replaying' }],
      [inState('draining')(), { state: 'draining' }],
    ],
    recovering: () => ownership.recovering().length,
    unowned: ownership.unowned,
    epoch: () => lanes.map(({ number, epoch }) => [epoch, { lane: `${number}` }] as const),
    lag: () => upkeep.seen?.lagRecords ?? 0,
  });
}

/** Gauges that are read when somebody looks. Those that would have to look at every recipient are as of the last round of upkeep. */
export function exportGauges(core: Core, { dispatch, upkeep, ownership }: GaugeParts): void {
  exportQueue(core, upkeep);
  exportWork(core, dispatch);
  exportLanes(core, { upkeep, ownership });
}
