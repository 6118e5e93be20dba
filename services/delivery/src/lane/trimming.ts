import type { TopicName } from '@angarium/log';
import type { InputPartition } from '../accounting/inputs.ts';
import type { Projection } from '../accounting/projection.ts';
import type { Core } from '../core.ts';
import type { Lane } from './lane.ts';
import type { LaneProgress } from './progress.ts';

interface Kept {
  readonly topic: TopicName;
  readonly partition: number;
  readonly progress: LaneProgress;
}

/** Offset that the history reaches back to; when room is short, or too much of it is held, history is given back. */
function historyStart({ deps }: Core, { topic, partition, progress }: Kept): number {
  const { log, config, clock } = deps;
  const isFull = (log.freeShare?.() ?? 1) < config.journal.freeShareForHistory;
  const isShort = isFull || log.heldOctets(topic, partition) > config.delivery.historyMaxOctets;
  return isShort ? Number.POSITIVE_INFINITY : progress.offsetBefore(clock.nowMs() - config.delivery.historyMs);
}

/** Highest offset that nothing but live messages and late records need: the count and the history do not. */
const unneededBelow = (core: Core, lane: Lane, projection: Projection): number =>
  Math.min(
    lane.fold.position,
    projection.lanePosition(lane.number),
    historyStart(core, { topic: 'mail.lane', partition: lane.number, progress: lane.progress }),
  );

/** What this lane needs no more is known from now on, and goes out with the lease. Returns the low mark. */
export async function findWatermark(core: Core, lane: Lane, projection: Projection): Promise<number> {
  const { low } = await core.deps.log.marks('mail.lane', lane.number);
  const limit = unneededBelow(core, lane, projection);
  if (lane.state === 'live' && limit > low) lane.watermark = Math.max(low, lane.fold.watermark(limit));
  return low;
}

/**
 * Gives up what no replay, no count and no question needs any more, below a watermark that was read back: whoever does not know
 * yet that the lane is another's must not trim by what it believes. Returns the low mark.
 */
export async function trimLane(core: Core, lane: Lane, o: { readonly low: number; readonly trimmable: number }): Promise<number> {
  const { log, logger } = core.deps;
  const { low } = o;
  if (!core.mayAct(lane) || o.trimmable <= low) return low;
  const below = lane.fold.watermark(Math.min(o.trimmable, lane.watermark));
  if (below <= low) return low;
  await log.trim('mail.lane', lane.number, below);
  lane.fold.historyStarts(below);
  lane.progress.forget(below);
  logger.debug({ lane: lane.number, low: below, records: below - low }, 'delivery.lane.trimmed');
  return below;
}

/** The same for an input topic: what is routed everywhere, counted, and named by no dead letter. */
export async function trimInput(core: Core, input: InputPartition): Promise<void> {
  const { log } = core.deps;
  const { topic, partition, committed, counted, firstDead, progress } = input;
  const below = Math.min(committed, counted, firstDead, historyStart(core, input));
  const { low } = await log.marks(topic, partition);
  if (below <= low) return;
  await log.trim(topic, partition, below);
  progress.forget(below);
}
