import { consume, follow, type Positions, type Readable } from '../following.ts';
import { checkPartition, checkValues, createTurns } from '../limits.ts';
import { AppendFailed, type Log, type LogRecord, OffsetGap, type TopicName } from '../port.ts';
import { createWaiters, type Waiters } from '../waiters.ts';

/**
 * What becomes of an append. `lost`: not written, fails. `inDoubt`: written, fails in doubt. `twice`: written, and a late
 * copy lands with the next `landCopies`.
 */
export type AppendFate = 'kept' | 'lost' | 'inDoubt' | 'twice';

interface StoredPartition {
  low: number;
  lastAppendedAtMs: number;
  readonly records: LogRecord[];
}

/** What outlives a crash: open another log over it. */
export interface MemoryStorage {
  readonly partitions: Map<string, StoredPartition>;
  readonly commits: Map<string, number>;
  readonly copies: { readonly topic: TopicName; readonly partition: number; readonly values: readonly Uint8Array[] }[];
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

interface Partition {
  readonly key: string;
  readonly stored: StoredPartition;
  readonly waiters: Waiters;
  /** The last append, where its fate is not known at once: later ones wait for it. */
  turn: Promise<number> | undefined;
}

const highOf = ({ low, records }: StoredPartition) => low + records.length;

function createPartitions(options: MemoryLogOptions, storage: MemoryStorage) {
  const open = new Map<string, Partition>();
  const count = (topic: TopicName) => options.partitions[topic] ?? 1;
  const at = (topic: TopicName, partition: number): Partition => {
    checkPartition(partition, count(topic), topic);
    const key = `${topic}/${partition}`;
    const stored = storage.partitions.get(key) ?? { low: 0, lastAppendedAtMs: 0, records: [] };
    storage.partitions.set(key, stored);
    const found = open.get(key) ?? { key, stored, waiters: createWaiters(), turn: undefined };
    open.set(key, found);
    return found;
  };
  return { count, at, all: () => open.values() };
}

function write({ stored, waiters }: Partition, values: readonly Uint8Array[], nowMs: number): number {
  const first = highOf(stored);
  const appendedAtMs = Math.max(nowMs, stored.lastAppendedAtMs);
  stored.lastAppendedAtMs = appendedAtMs;
  for (const value of values) stored.records.push({ offset: highOf(stored), appendedAtMs, value });
  waiters.wake();
  return first;
}

function read({ low, records }: StoredPartition, from: number, maxOctets: number): readonly LogRecord[] {
  const high = low + records.length;
  if (from < low || from > high) throw new OffsetGap(from, { low, high });
  const start = from - low;
  let end = start;
  for (let octets = 0; end < records.length; end++) {
    octets += records[end]?.value.length ?? 0;
    if (octets > maxOctets && end > start) break;
  }
  return records.slice(start, end);
}

/**
 * The log of tests and of the simulation: durable as long as its storage is held. Values are kept as they are handed over,
 * not copied; trimmed records are gone.
 */
export function openMemoryLog(options: MemoryLogOptions): MemoryLog {
  const { storage = createMemoryStorage(), nowMs } = options;
  const partitions = createPartitions(options, storage);
  let isClosed = false;
  const end = () => {
    isClosed = true;
    for (const { waiters } of partitions.all()) waiters.wake();
  };
  const readable: Readable = {
    partitions: partitions.count,
    isClosed: () => isClosed,
    marks: async (topic, partition) => {
      const { stored } = partitions.at(topic, partition);
      return { low: stored.low, high: highOf(stored) };
    },
    read: async (topic, partition, from, maxOctets) => read(partitions.at(topic, partition).stored, from, maxOctets),
    changed: async (topic, partition, offset, signal) => {
      const { stored, waiters } = partitions.at(topic, partition);
      if (offset >= stored.low && offset === highOf(stored) && !isClosed) await waiters.wait(signal);
    },
  };
  const positions = createPositions(partitions, storage, () => isClosed);
  return {
    ...readable,
    storage,
    incarnation: storage.incarnation,
    anyPartition: createTurns(partitions.count),
    append: createAppend({ options, partitions, storage, isClosed: () => isClosed }),
    follow: (topic, partition, from, signal) => follow(readable, { topic, partition, from }, signal),
    trim: async (topic, partition, below) => {
      const { key, stored, waiters } = partitions.at(topic, partition);
      if (isClosed) throw new AppendFailed('closed', { inDoubt: false });
      if (below > highOf(stored)) throw new RangeError(`trim of ${key} below ${below}, high mark ${highOf(stored)}`);
      if (below <= stored.low) return;
      stored.records.splice(0, below - stored.low);
      stored.low = below;
      waiters.wake();
    },
    consume: (group) => consume(readable, positions, group),
    committed: positions.committed,
    heldOctets: () => 0,
    landCopies: () => {
      for (const { topic, partition, values } of storage.copies.splice(0)) write(partitions.at(topic, partition), values, nowMs());
    },
    crash: end,
    close: async () => end(),
  };
}

interface Appending {
  readonly options: MemoryLogOptions;
  readonly partitions: ReturnType<typeof createPartitions>;
  readonly storage: MemoryStorage;
  readonly isClosed: () => boolean;
}

function createAppend({ options, partitions, storage, isClosed }: Appending): MemoryLog['append'] {
  return async (topic, partition, values) => {
    checkValues(values);
    const found = partitions.at(topic, partition);
    const settle = (fate: AppendFate): number => {
      if (isClosed()) throw new AppendFailed('closed', { inDoubt: false });
      if (fate === 'lost') throw new AppendFailed('failed', { inDoubt: false });
      const first = write(found, values, options.nowMs());
      if (fate === 'twice') storage.copies.push({ topic, partition, values });
      if (fate === 'inDoubt') throw new AppendFailed('failed', { inDoubt: true });
      return first;
    };
    if (isClosed()) return settle('lost');
    const fate = options.fate?.(topic, partition) ?? 'kept';
    if (found.turn === undefined && typeof fate === 'string') return settle(fate);
    const turn = Promise.allSettled([fate, found.turn]).then(async () => settle(await fate));
    found.turn = turn;
    return turn.finally(() => {
      if (found.turn === turn) found.turn = undefined;
    });
  };
}

function createPositions(partitions: Appending['partitions'], storage: MemoryStorage, isClosed: () => boolean): Positions {
  const keyOf = (group: string, topic: TopicName, partition: number) => `${group} ${partitions.at(topic, partition).key}`;
  return {
    committed: async (group, topic, partition) =>
      storage.commits.get(keyOf(group, topic, partition)) ?? partitions.at(topic, partition).stored.low,
    commit: (group, topic, partition, offset) => {
      if (!isClosed()) storage.commits.set(keyOf(group, topic, partition), offset);
    },
    flush: async () => {},
  };
}
