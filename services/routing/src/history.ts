import type { Log } from '@angarium/log';
import { decodeRecord } from '@angarium/records';
import { GROUP, nameOf, type Place, placesOf } from './places.ts';
import { pause } from './retry.ts';
import type { BatchDeps } from './route-batch.ts';

const READ_OCTETS = 1024 ** 2;

/** Lowest offset by partition that `mail.dead` names: those records are kept until an operator trims the reference. */
async function deadFrom(log: Log): Promise<ReadonlyMap<string, number>> {
  const lowest = new Map<string, number>();
  for (let partition = 0; partition < log.partitions('mail.dead'); partition++) {
    const { low, high } = await log.marks('mail.dead', partition);
    for (let at = low; at < high; ) {
      const records = await log.read('mail.dead', partition, at, READ_OCTETS);
      for (const { value, offset } of records) {
        at = offset + 1;
        const decoded = decodeRecord(value);
        const src = decoded.is === 'known' && decoded.kind.$case === 'dead' ? decoded.kind.value.src : undefined;
        if (src?.incarnation !== log.incarnation) continue;
        const name = `${src.topic}/${src.partition}`;
        lowest.set(name, Math.min(src.offset, lowest.get(name) ?? src.offset));
      }
      if (records.length === 0) break;
    }
  }
  return lowest;
}

/** First offset in `low`..`bound` whose record is younger than `beforeMs`; `bound` where none is. Append times never go back. */
async function firstYounger(
  log: Log,
  { topic, partition }: Place,
  range: { low: number; bound: number },
  beforeMs: number,
): Promise<number> {
  let { low, bound } = range;
  while (low < bound) {
    const middle = Math.floor((low + bound) / 2);
    const [record] = await log.read(topic, partition, middle, 1);
    if (record !== undefined && record.appendedAtMs <= beforeMs) low = middle + 1;
    else bound = middle;
  }
  return low;
}

/** How long what is routed stays: less where the shared file grows too large, or the disk is nearly full. */
function keptMs({ log, config }: BatchDeps, { topic, partition }: Place): number {
  const { historyMs, historyMaxOctets, floorLagMs } = config.routing;
  const isTight = log.heldOctets(topic, partition) > historyMaxOctets || (log.freeShare?.() ?? 1) < config.journal.freeShareForHistory;
  return isTight ? Math.min(historyMs, floorLagMs) : historyMs;
}

/**
 * Gives up what is routed and older than its history. Never a record that is not committed, that is named in `mail.dead`,
 * or that a projection still needs.
 */
async function trimRouted(deps: BatchDeps): Promise<void> {
  const { log, clock, keepFrom } = deps;
  const dead = await deadFrom(log);
  for (const place of placesOf(log)) {
    const { topic, partition } = place;
    const { low } = await log.marks(topic, partition);
    const committed = await log.committed(GROUP, topic, partition);
    const bound = Math.min(committed, dead.get(nameOf(place)) ?? committed, keepFrom?.(topic, partition) ?? committed);
    const below = bound > low ? await firstYounger(log, place, { low, bound }, clock.nowMs() - keptMs(deps, place)) : low;
    if (below > low) await log.trim(topic, partition, below);
  }
}

/** Trims again and again until the signal aborts. */
export async function keepHistory(deps: BatchDeps): Promise<void> {
  const { signal } = deps.retry;
  for (;;) {
    await pause(deps.clock, deps.config.routing.trimEveryMs, signal);
    if (signal.aborted) return;
    try {
      await trimRouted(deps);
    } catch (error) {
      deps.logger.warn({ reason: error instanceof Error ? error.message : String(error) }, 'routing.history.trim_failed');
    }
  }
}
