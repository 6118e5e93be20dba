import type { Placement } from '@angarium/rpc';
import type { Metrics } from '@angarium/runtime';
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

export function createMeters(metrics: Metrics, read: { readonly lagSeconds: () => number; readonly halted: () => number }): Meters {
  const messages = metrics.counter({
    name: 'angarium_routing_messages_total',
    help: 'Messages whose recipients are durable in their lanes.',
    labels: { topic: ['mail.in', 'mail.in.bulk'] },
  });
  const recipients = metrics.counter({
    name: 'angarium_routing_recipients_total',
    help: 'Recipients after expansion, by where they go or why they cannot.',
    labels: { placement: [...PLACEMENT_NAMES.values()] },
  });
  const expansions = metrics.counter({ name: 'angarium_routing_expansions_total', help: 'Forward-paths asked of the directory.' });
  const dead = metrics.counter({
    name: 'angarium_routing_dead_total',
    help: 'Records of mail.in that could not be handled; each has a reference in mail.dead.',
    labels: { reason: DEAD_REASONS },
  });
  const stalls = metrics.counter({
    name: 'angarium_routing_stalls_total',
    help: 'Attempts that failed and are repeated until they work.',
    labels: { cause: STALLS },
  });
  const inlined = metrics.counter({
    name: 'angarium_routing_blobs_inlined_total',
    help: 'Bodies copied into every lane because the blob store did not take them.',
  });
  metrics.gaugeOf({ name: 'angarium_routing_lag_seconds', help: 'Age of the oldest message in hand.' }, read.lagSeconds);
  metrics.gaugeOf(
    { name: 'angarium_routing_halted_partitions', help: 'Partitions that stand still because records are missing.' },
    read.halted,
  );
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
