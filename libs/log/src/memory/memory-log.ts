import { consume, follow, type Readable } from '../following.ts';
import { checkPartition, checkValues } from '../limits.ts';
import { AppendFailed, type Log, type LogRecord, OffsetGap, type TopicName } from '../port.ts';
import { createWaiters, type Waiters } from '../waiters.ts';

/**
 * What becomes of an append. `lost`: not written, fails. `inDoubt`: written, fails in doubt. `twice`: written, and a late
 * copy lands with the next `landCopies`.
 */
export type AppendFate = 'kept' | 'lost' | 'inDoubt' | 'twice';

interface StoredPartition {
  low: number;
  readonly records: LogRecord[];
}

/** What outlives a crash: open another log over it. */
export interface MemoryStorage {
  readonly partitions: Map<string, StoredPartition>;
  readonly commits: Map<string, number>;
  readonly copies: { readonly key: string; readonly values: readonly Uint8Array[] }[];
  incarnation: number;
}

export interface MemoryLogOptions {
  readonly partitions: Partial<Record<TopicName, number>>;
  readonly nowMs: () => number;
  readonly storage?: MemoryStorage;
  /** Decides the fate of each append; left out: all are kept. May wait, to make an append slow. */
  readonly fate?: (topic: TopicName, partition: number) => AppendFate | Promise<AppendFate>;
}

export interface MemoryLog extends Log {
  readonly storage: MemoryStorage;
  /** Late copies of records that were written `twice` land at the tail. */
  landCopies(): void;
  /** Forgets that it is open, as a killed process would: nothing more is written through this handle. */
  crash(): void;
}

export const createMemoryStorage = (): MemoryStorage => ({ partitions: new Map(), commits: new Map(), copies: [], incarnation: 1 });

/** The log of tests and of the simulation: durable as long as its storage is held. */
export function openMemoryLog(options: MemoryLogOptions): MemoryLog {
  const storage = options.storage ?? createMemoryStorage();
  const waiters = new Map<string, Waiters>();
  let isClosed = false;
  const partitions = (topic: TopicName) => options.partitions[topic] ?? 1;
  const keyOf = (topic: TopicName, partition: number) => {
    checkPartition(partition, partitions(topic), topic);
    return `${topic}/${partition}`;
  };
  const stored = (key: string): StoredPartition => {
    const found = storage.partitions.get(key) ?? { low: 0, records: [] };
    storage.partitions.set(key, found);
    return found;
  };
  const waitersOf = (key: string): Waiters => {
    const found = waiters.get(key) ?? createWaiters();
    waiters.set(key, found);
    return found;
  };
  const high = ({ low, records }: StoredPartition) => low + records.length;
  const write = (key: string, values: readonly Uint8Array[]): number => {
    const partition = stored(key);
    const first = high(partition);
    const appendedAtMs = Math.max(options.nowMs(), partition.records.at(-1)?.appendedAtMs ?? 0);
    for (const value of values) partition.records.push({ offset: high(partition), appendedAtMs, value });
    waitersOf(key).wake();
    return first;
  };
  const closed = () => new AppendFailed('closed', { inDoubt: false });

  const readable: Readable = {
    partitions,
    isClosed: () => isClosed,
    marks: async (topic, partition) => {
      const found = stored(keyOf(topic, partition));
      return { low: found.low, high: high(found) };
    },
    read: async (topic, partition, from, maxOctets) => {
      const found = stored(keyOf(topic, partition));
      if (from < found.low || from > high(found)) throw new OffsetGap(from, { low: found.low, high: high(found) });
      const start = from - found.low;
      let end = start;
      for (let octets = 0; end < found.records.length; end++) {
        octets += found.records[end]?.value.length ?? 0;
        if (octets > maxOctets && end > start) break;
      }
      return found.records.slice(start, end);
    },
    changed: async (topic, partition, offset, signal) => {
      const key = keyOf(topic, partition);
      const found = stored(key);
      if (offset >= found.low && offset >= high(found) && !isClosed) await waitersOf(key).wait(signal);
    },
  };
  const commitKey = (group: string, topic: TopicName, partition: number) => `${group} ${keyOf(topic, partition)}`;
  const positions = {
    committed: async (group: string, topic: TopicName, partition: number) =>
      storage.commits.get(commitKey(group, topic, partition)) ?? stored(keyOf(topic, partition)).low,
    commit: (group: string, topic: TopicName, partition: number, offset: number) => {
      if (!isClosed) storage.commits.set(commitKey(group, topic, partition), offset);
    },
    flush: async () => {},
  };
  const end = () => {
    isClosed = true;
    for (const waiting of waiters.values()) waiting.wake();
  };
  return {
    ...readable,
    storage,
    incarnation: storage.incarnation,
    append: async (topic, partition, values) => {
      checkValues(values);
      const key = keyOf(topic, partition);
      if (isClosed) throw closed();
      const fate = options.fate?.(topic, partition) ?? 'kept';
      const decided = typeof fate === 'string' ? fate : await fate;
      if (isClosed) throw closed();
      if (decided === 'lost') throw new AppendFailed('failed', { inDoubt: false });
      const first = write(key, values);
      if (decided === 'twice') storage.copies.push({ key, values });
      if (decided === 'inDoubt') throw new AppendFailed('failed', { inDoubt: true });
      return first;
    },
    follow: (topic, partition, from, signal) => follow(readable, { topic, partition, from }, signal),
    trim: async (topic, partition, below) => {
      const key = keyOf(topic, partition);
      const found = stored(key);
      if (below > high(found)) throw new RangeError(`trim of ${key} below ${below}, high mark ${high(found)}`);
      if (below <= found.low || isClosed) return;
      found.records.splice(0, below - found.low);
      found.low = below;
      waitersOf(key).wake();
    },
    consume: (group) => consume(readable, positions, group),
    committed: positions.committed,
    heldOctets: () => 0,
    landCopies: () => {
      for (const { key, values } of storage.copies.splice(0)) write(key, values);
    },
    crash: end,
    close: async () => end(),
  };
}
