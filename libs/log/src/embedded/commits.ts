import type { TopicName } from '../port.ts';
import { ENTRY, type Entry, type State, TOPICS } from './format.ts';
import { commitKey, commitOf } from './recovery.ts';
import type { Pending } from './writer.ts';

export interface CommitsOptions {
  readonly recovered: ReadonlyMap<string, number>;
  readonly clock: { after(delayMs: number, run: () => void): () => void };
  /** Writes what waits even when nothing else is written. */
  readonly flush: () => void;
}

export interface Commits {
  note(group: string, topic: TopicName, partition: number, offset: number): void;
  /** The last position that is on disk. */
  committed(group: string, topic: TopicName, partition: number): number | undefined;
  durable(): State['commits'];
  /** What waits, as entries of the next batch. */
  readonly riders: () => Pick<Pending, 'entries' | 'durable' | 'failed'> | undefined;
  stop(): void;
}

/** How long a position may wait for a batch to ride in; it costs a second reading after a kill, nothing else. */
const FLUSH_AFTER_MS = 100;

/** Positions of groups: they ride in the batches of the records, and are on disk when those are. */
export function createCommits({ recovered, clock, flush }: CommitsOptions): Commits {
  const onDisk = new Map(recovered);
  let waiting = new Map<string, number>();
  let callOff: (() => void) | undefined;
  const stop = () => {
    callOff?.();
    callOff = undefined;
  };
  const riders = () => {
    if (waiting.size === 0) return undefined;
    const taken = waiting;
    return {
      entries: (): Entry[] => {
        waiting = new Map();
        stop();
        return [...taken].map(([key, offset]) => {
          const [group, topic, partition] = commitOf(key);
          return { kind: ENTRY.commit, topic: TOPICS.indexOf(topic), partition, offset, atMs: 0, value: Buffer.from(group) };
        });
      },
      durable: () => {
        for (const [key, offset] of taken) onDisk.set(key, offset);
      },
      failed: () => {
        // Whatever was noted meanwhile is younger.
        waiting = new Map([...taken, ...waiting]);
        callOff ??= clock.after(FLUSH_AFTER_MS, flush);
      },
    };
  };
  return {
    note: (group, topic, partition, offset) => {
      const key = commitKey(group, topic, partition);
      if ((waiting.get(key) ?? onDisk.get(key)) === offset) return;
      waiting.set(key, offset);
      callOff ??= clock.after(FLUSH_AFTER_MS, flush);
    },
    committed: (group, topic, partition) => onDisk.get(commitKey(group, topic, partition)),
    durable: () =>
      [...onDisk].map(([key, offset]) => {
        const [group, topic, partition] = commitOf(key);
        return { group, topic, partition, offset };
      }),
    riders,
    stop,
  };
}
