import type { TopicName } from '../port.ts';
import { ENTRY, type Entry, type State, TOPICS } from './format.ts';
import type { Pending } from './writer.ts';

export const commitKey = (group: string, topic: TopicName, partition: number): string => JSON.stringify([group, topic, partition]);
const commitOf = (key: string): readonly [group: string, topic: TopicName, partition: number] => JSON.parse(key);

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
  /** Notes nothing more. */
  stop(): void;
}

/** How long a position may wait for a batch to ride in; it costs a second reading after a kill, nothing else. */
const FLUSH_AFTER_MS = 100;
/** How long to wait after a batch that failed. */
const RETRY_AFTER_MS = 1000;

/** Positions of groups: they ride in the batches of the records, and are on disk when those are. */
export function createCommits({ recovered, clock, flush }: CommitsOptions): Commits {
  const onDisk = new Map(recovered);
  let waiting = new Map<string, number>();
  let callOff: (() => void) | undefined;
  let isStopped = false;
  const disarm = () => {
    callOff?.();
    callOff = undefined;
  };
  const arm = (delayMs: number) => {
    if (isStopped) return;
    callOff ??= clock.after(delayMs, () => {
      callOff = undefined;
      flush();
    });
  };
  const riders = () => {
    if (waiting.size === 0) return undefined;
    const taken = waiting;
    return {
      entries: (): Entry[] => {
        waiting = new Map();
        disarm();
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
        arm(RETRY_AFTER_MS);
      },
    };
  };
  return {
    note: (group, topic, partition, offset) => {
      const key = commitKey(group, topic, partition);
      if ((waiting.get(key) ?? onDisk.get(key)) === offset) return;
      waiting.set(key, offset);
      arm(FLUSH_AFTER_MS);
    },
    committed: (group, topic, partition) => onDisk.get(commitKey(group, topic, partition)),
    durable: () =>
      [...onDisk].map(([key, offset]) => {
        const [group, topic, partition] = commitOf(key);
        return { group, topic, partition, offset };
      }),
    riders,
    stop: () => {
      isStopped = true;
      disarm();
    },
  };
}
