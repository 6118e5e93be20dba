import type { Placement } from '@angarium/rpc';
import { type Metrics, type MetricTable, registerGauges, registerMeters } from '@angarium/runtime';
import { DEAD_REASONS, type DeadReason } from './accepted.ts';
import { PLACEMENT_NAMES } from './placements.ts';

const STALLS = ['directory', 'lane_table', 'lane_append', 'dead_append', 'blob'] as const;
export type Stall = (typeof STALLS)[number];

export interface Meters {
  routed(topic: 'mail.in' | 'mail.in.bulk', messages: number): void;
  placed(placements: ReadonlyMap<Placement, number>): void;
  expanded(forwardPaths: number): void;
  dead(reason: DeadReason): void;
  stalled(cause: Stall): void;
  /** Blob store failed: the body was copied into each lane. */
  inlinedInstead(): void;
}

const METERS = {
  messages: {
    kind: 'counter',
    name: 'angarium_routing_messages_total',
    help: 'Messages whose recipients are durable in their lanes.',
    labels: { topic: ['mail.in', 'mail.in.bulk'] },
  },
  recipients: {
    kind: 'counter',
    name: 'angarium_routing_recipients_total',
    help: 'Recipients after expansion, by where they go or why they cannot.',
    labels: { placement: [...PLACEMENT_NAMES.values()] },
  },
  expansions: { kind: 'counter', name: 'angarium_routing_expansions_total', help: 'Forward-paths asked of the directory.' },
  dead: {
    kind: 'counter',
    name: 'angarium_routing_dead_total',
    help: 'Records of mail.in that could not be handled; each has a reference in mail.dead.',
    labels: { reason: DEAD_REASONS },
  },
  stalls: {
    kind: 'counter',
    name: 'angarium_routing_stalls_total',
    help: 'Attempts that failed and are repeated until they work.',
    labels: { cause: STALLS },
  },
  inlined: {
    kind: 'counter',
    name: 'angarium_routing_blobs_inlined_total',
    help: 'Bodies copied into every lane because the blob store did not take them.',
  },
} as const satisfies MetricTable;

const GAUGES = {
  lagSeconds: { kind: 'gauge', name: 'angarium_routing_lag_seconds', help: 'Age of the oldest message in hand.' },
  halted: {
    kind: 'gauge',
    name: 'angarium_routing_halted_partitions',
    help: 'Partitions that stand still because records are missing.',
  },
} as const satisfies MetricTable;

/** Everything that routing exports. */
export const ROUTING_METRICS: readonly MetricTable[] = [METERS, GAUGES];

export function createMeters(metrics: Metrics, reads: Readonly<Record<keyof typeof GAUGES, () => number>>): Meters {
  registerGauges(metrics, GAUGES, reads);
  const { messages, recipients, expansions, dead, stalls, inlined } = registerMeters(metrics, METERS);
  return {
    routed: (topic, count) => messages.inc({ topic }, count),
    placed: (placements) => {
      for (const [placement, count] of placements) recipients.inc({ placement: PLACEMENT_NAMES.get(placement) ?? 'unknown_user' }, count);
    },
    expanded: (count) => expansions.inc({}, count),
    dead: (reason) => dead.inc({ reason }),
    stalled: (cause) => stalls.inc({ cause }),
    inlinedInstead: () => inlined.inc(),
  };
}
