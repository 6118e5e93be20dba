import type { GroupBatch } from '@angarium/log';
import { createFloor, type Floor } from './floors.ts';
import { GROUP, nameOf, ROUTED_TOPICS } from './places.ts';
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
    // Another member of the group may have had it meanwhile, and committed.
    if (first.offset > Math.max(partition.expected, batch.committed)) return halt(name, partition, first.offset);
    partition.floor.note(first.appendedAtMs, batch.committed);
    progress.inHandSinceMs.set(name, first.appendedAtMs);
    const work = () => routeBatch(deps, batch, partition.floor);
    partition.expected = await (batch.topic === 'mail.in.bulk' ? precedence.bulk(work) : precedence.newMail(work));
    progress.inHandSinceMs.delete(name);
    return partition.expected;
  };
}

/**
 * Consumes the topics until the signal aborts or the log is closed. A gap in the log halts what it touches and rings; any other failure of the
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
        onGap: (topic, partition, gap) => {
          progress.halted.add(`${topic}/${partition}`);
          logger.error({ partition: `${topic}/${partition}`, reason: gap.message, cure: CURE }, 'routing.partition.halted');
        },
        signal: retry.signal,
      });
      return;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      logger.error({ reason }, 'routing.consumption.failed');
      await pause(clock, config.routing.maxRetryMs, retry.signal);
    }
  }
}
