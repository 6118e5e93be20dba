import type { InputPartition, Projection } from '../accounting/projection.ts';
import type { Core } from '../core.ts';
import type { Lane } from './lane.ts';
import type { LaneProgress } from './progress.ts';

/** Offset that the history reaches back to; when room is short, history is given back. */
export function historyStart({ deps }: Core, progress: LaneProgress): number {
  const { log, config, clock } = deps;
  const isShort = (log.freeShare?.() ?? 1) < config.journal.freeShareForHistory;
  return isShort ? Number.POSITIVE_INFINITY : progress.offsetBefore(clock.nowMs() - config.delivery.historyMs);
}

/** Highest offset that nothing but live messages and late records need: the count and the history do not. */
const unneededBelow = (core: Core, lane: Lane, projection: Projection): number =>
  Math.min(lane.fold.position, projection.lanePosition(lane.number), historyStart(core, lane.progress));

/** Gives up what no replay, no count and no question needs any more. Returns the low mark. */
export async function trimLane(core: Core, lane: Lane, projection: Projection): Promise<number> {
  const { log, logger } = core.deps;
  const { low } = await log.marks('mail.lane', lane.number);
  const limit = unneededBelow(core, lane, projection);
  if (lane.state !== 'live' || limit <= low) return low;
  const below = lane.fold.watermark(limit);
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
  const below = Math.min(committed, counted, firstDead, historyStart(core, progress));
  const { low } = await log.marks(topic, partition);
  if (below <= low) return;
  await log.trim(topic, partition, below);
  progress.forget(below);
}
