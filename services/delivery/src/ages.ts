import type { Core } from './core.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const EDGES: Readonly<Record<string, number>> = { '5m': 5 * MINUTE_MS, '1h': HOUR_MS, '4h': 4 * HOUR_MS, '1d': DAY_MS, '5d': 5 * DAY_MS };
const EDGES_MS = Object.values(EDGES);

/** "5m": up to five minutes, and older than the one before. */
export const AGES: readonly string[] = [...Object.keys(EDGES), 'older'];

/**
 * Recipients that are queued, by the time since their message came into the lane; of a long list of recipients that is under way,
 * since its last turn. In the order of `AGES`. Cost: some milliseconds for a million.
 */
export function countAges({ scheduler, flights, deps }: Core): readonly number[] {
  const nowMs = deps.clock.nowMs();
  const counts = [...scheduler.countAges(EDGES_MS, nowMs)];
  for (const [{ message }] of flights.entries()) {
    const found = EDGES_MS.findIndex((edgeMs) => nowMs - message.enqueuedAtMs <= edgeMs);
    const bucket = found < 0 ? EDGES_MS.length : found;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  return counts;
}
