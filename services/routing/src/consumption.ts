import { type GroupBatch, OffsetGap, type TopicName } from '@angarium/log';
import { createFloor, type Floor } from './floors.ts';
import { createPrecedence } from './precedence.ts';
import { pause } from './retry.ts';
import { type BatchDeps, routeBatch } from './route-batch.ts';

export const TOPICS = ['mail.in', 'mail.in.bulk'] as const satisfies readonly TopicName[];
const GROUP = 'routing';

interface Partition {
  readonly floor: Floor;
  /** Offset that the next batch must start at or below. */
  expected: number;
}

/** What the probes and gauges ask. */
export interface Progress {
  /** Append time of the first record of each batch in hand. */
  readonly inHandSinceMs: Map<string, number>;
  /** Partitions, or topics, that stand still because records are missing. */
  readonly halted: Set<string>;
}

export const createProgress = (): Progress => ({ inHandSinceMs: new Map(), halted: new Set() });

function createBatchHandler(deps: BatchDeps, progress: Progress): (batch: GroupBatch) => Promise<number> {
  const partitions = new Map<string, Partition>();
  const precedence = createPrecedence(deps.config.routing.bulkAfterBatches);
  const { signal } = deps.retry;
  const route = async (name: string, batch: GroupBatch): Promise<number> => {
    const first = batch.records[0];
    if (first === undefined) return batch.committed;
    const partition = partitions.get(name) ?? { floor: createFloor(deps.config.routing.floorLagMs), expected: batch.committed };
    partitions.set(name, partition);
    if (first.offset > partition.expected) {
      progress.halted.add(name);
      deps.logger.error(
        {
          partition: name,
          expected: partition.expected,
          found: first.offset,
          cure: 'records are missing: restore the log, or raise its incarnation',
        },
        'routing.partition.halted',
      );
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      return partition.expected;
    }
    partition.floor.note(first.appendedAtMs, batch.committed);
    progress.inHandSinceMs.set(name, first.appendedAtMs);
    partition.expected = await routeBatch(deps, batch, partition.floor);
    progress.inHandSinceMs.delete(name);
    return partition.expected;
  };
  return (batch) => {
    const name = `${batch.topic}/${batch.partition}`;
    const work = () => route(name, batch);
    return batch.topic === 'mail.in.bulk' ? precedence.bulk(work) : precedence.newMail(work);
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
      await log.consume({ group: GROUP, topics: TOPICS, maxBatchOctets: config.routing.maxBatchOctets, onBatch, signal: retry.signal });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (error instanceof OffsetGap) {
        progress.halted.add('log');
        logger.error({ reason, cure: 'records are missing: restore the log, or raise its incarnation' }, 'routing.consumption.halted');
        return;
      }
      logger.error({ reason }, 'routing.consumption.failed');
      await pause(clock, config.routing.maxRetryMs, retry.signal);
    }
  }
}
