import { type GroupBatch, type Log, OffsetGap } from '@angarium/log';
import { createFloor, type Floor } from './floors.ts';
import { GROUP, nameOf, placesOf, ROUTED_TOPICS } from './places.ts';
import { createPrecedence } from './precedence.ts';
import { aborted, pause } from './retry.ts';
import { type BatchDeps, routeBatch } from './route-batch.ts';

const CURE = 'records are missing: restore the log, or raise its incarnation';

interface Partition {
  readonly floor: Floor;
  /** Offset that the next batch must start at or below. */
  expected: number;
}

/** What the probes and gauges ask. */
export interface Progress {
  /** Append time of the first record of each batch in hand. */
  readonly inHandSinceMs: Map<string, number>;
  /** Partitions that stand still because records are missing. */
  readonly halted: Set<string>;
}

export const createProgress = (): Progress => ({ inHandSinceMs: new Map(), halted: new Set() });

/** Partitions whose next record the log does not hold. */
async function gapsIn(log: Log): Promise<string[]> {
  const gaps: string[] = [];
  for (const place of placesOf(log)) {
    const { low, high } = await log.marks(place.topic, place.partition);
    const next = await log.committed(GROUP, place.topic, place.partition);
    if (next < low || next > high) gaps.push(nameOf(place));
  }
  return gaps;
}

function createBatchHandler(deps: BatchDeps, progress: Progress): (batch: GroupBatch) => Promise<number> {
  const partitions = new Map<string, Partition>();
  const { floorLagMs, bulkAfterBatches, bulkMaxWaitMs } = deps.config.routing;
  const precedence = createPrecedence({ clock: deps.clock, bulkAfterBatches, bulkMaxWaitMs });
  const halt = async (name: string, { expected }: Partition, found: number): Promise<number> => {
    progress.halted.add(name);
    deps.logger.error({ partition: name, expected, found, cure: CURE }, 'routing.partition.halted');
    await aborted(deps.retry.signal);
    return expected;
  };
  return async (batch) => {
    const name = nameOf(batch);
    const first = batch.records[0];
    if (first === undefined) return batch.committed;
    const partition = partitions.get(name) ?? { floor: createFloor(floorLagMs), expected: batch.committed };
    partitions.set(name, partition);
    if (first.offset > partition.expected) return halt(name, partition, first.offset);
    partition.floor.note(first.appendedAtMs, batch.committed);
    progress.inHandSinceMs.set(name, first.appendedAtMs);
    const work = () => routeBatch(deps, batch, partition.floor);
    partition.expected = await (batch.topic === 'mail.in.bulk' ? precedence.bulk(work) : precedence.newMail(work));
    progress.inHandSinceMs.delete(name);
    return partition.expected;
  };
}

/**
 * Consumes the topics until the signal aborts. A gap in the log halts what it touches and rings; any other failure of the
 * log is repeated with pauses.
 */
export async function consumeTopics(deps: BatchDeps, progress: Progress): Promise<void> {
  const { log, logger, clock, config, retry } = deps;
  const onBatch = createBatchHandler(deps, progress);
  while (!retry.signal.aborted) {
    try {
      await log.consume({
        group: GROUP,
        topics: ROUTED_TOPICS,
        maxBatchOctets: config.routing.maxBatchOctets,
        onBatch,
        signal: retry.signal,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (error instanceof OffsetGap) {
        const gaps = await gapsIn(log);
        for (const name of gaps.length > 0 ? gaps : ['a partition']) progress.halted.add(name);
        logger.error({ reason, partitions: gaps, cure: CURE }, 'routing.consumption.halted');
        return;
      }
      logger.error({ reason }, 'routing.consumption.failed');
      await pause(clock, config.routing.maxRetryMs, retry.signal);
    }
  }
}
