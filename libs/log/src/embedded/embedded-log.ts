import { holdFolder } from '@angarium/sql';
import { consume, follow, type Readable } from '../following.ts';
import { checkPartition, checkValues } from '../limits.ts';
import { AppendFailed, type Log, type LogRecord, OffsetGap, type TopicName } from '../port.ts';
import { createCommits } from './commits.ts';
import { diskFiles, type LogFiles } from './files.ts';
import { ENTRY, ENTRY_HEADER_OCTETS, type Entry, FORMAT_VERSION, type State, TOPICS } from './format.ts';
import { PartitionIndex } from './partition.ts';
import { createReader } from './reader.ts';
import { recover } from './recovery.ts';
import { watchSpace } from './space.ts';
import { type BatchSeen, Writer } from './writer.ts';

export interface EmbeddedLogOptions {
  /** One process may have it open; made where it is missing. */
  readonly folder: string;
  /** Partitions by topic; a folder that has more keeps them. */
  readonly partitions: Readonly<Record<TopicName, number>>;
  /** A segment that has reached this is followed by a new one; at most 1 GiB. */
  readonly segmentOctets: number;
  /** Free space below which `mail.in` refuses: the smaller of a share of the disk and a number of octets. */
  readonly reserveShare: number;
  readonly reserveOctets: number;
  readonly clock: { nowMs(): number; after(delayMs: number, run: () => void): () => void };
  readonly logger: { warn(fields: object, event: string): void; error(fields: object, event: string): void };
  readonly observe?: (batch: BatchSeen) => void;
  readonly files?: LogFiles;
}

export interface EmbeddedLog extends Log {
  /** Share of the disk that is free, at most a second old: delivery gives history back when it gets small. */
  freeShare(): number;
}

const SEGMENT_MAX_OCTETS = 1024 ** 3;
const NO_VALUE = new Uint8Array(0);

/**
 * Opens the log of one machine: one sequence of append-only files for all partitions.
 *
 * @throws FolderHeld when another process has the folder open
 * @throws DamagedLog when something that was once on disk is missing or changed
 */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
  const { folder, clock, logger, files = diskFiles } = options;
  if (options.segmentOctets > SEGMENT_MAX_OCTETS) throw new RangeError(`a segment has at most ${SEGMENT_MAX_OCTETS} octets`);
  await files.list(folder);
  const lock = await holdFolder(folder);
  try {
    const recovered = await recover(folder, files);
    for (const path of recovered.setAside) logger.warn({ path }, 'log.tail.set_aside');
    const onFault = (error: unknown, path: string) => logger.error({ path, reason: String(error) }, 'log.file.failed');
    const space = await watchSpace({ ...options, files, nowMs: () => clock.nowMs(), onFault });
    const log = createLog({ options, recovered, space, onFault });
    return { ...log, close: () => log.close().finally(() => lock.release()) };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface Opened {
  readonly options: EmbeddedLogOptions;
  readonly recovered: Awaited<ReturnType<typeof recover>>;
  readonly space: Awaited<ReturnType<typeof watchSpace>>;
  readonly onFault: (error: unknown, path: string) => void;
}

function partitionsOf({ options, recovered }: Opened): ReadonlyMap<TopicName, readonly PartitionIndex[]> {
  return new Map(
    TOPICS.map((topic) => {
      const found = recovered.partitions.get(topic) ?? [];
      const missing = Math.max(0, options.partitions[topic] - found.length);
      return [topic, [...found, ...Array.from({ length: missing }, () => new PartitionIndex())]];
    }),
  );
}

function createLog(opened: Opened): EmbeddedLog {
  const { options, recovered, space, onFault } = opened;
  const { clock } = options;
  const { segments, incarnation } = recovered;
  const partitions = partitionsOf(opened);
  let isClosed = false;
  const indexOf = (topic: TopicName, partition: number): PartitionIndex => {
    const all = partitions.get(topic) ?? [];
    checkPartition(partition, all.length, topic);
    return all[partition] as PartitionIndex;
  };
  const state = (older: State['segments']): State => ({
    version: FORMAT_VERSION,
    incarnation,
    segments: older,
    partitions: [...partitions].flatMap(([topic, all]) =>
      all.map(({ low, high, lastAppendedAtMs: atMs }, partition) => ({ topic, partition, low, high, atMs })),
    ),
    commits: commits.durable(),
  });
  const commits = createCommits({ recovered: recovered.commits, clock, flush: () => void writer.flush() });
  const { nextSegment } = recovered;
  const { segmentOctets, observe = () => {} } = options;
  const writer = new Writer({ segments, nextSegment, segmentOctets, state, riders: commits.riders, observe, onFault });
  const reader = createReader(segments);

  const append: Log['append'] = (topic, partition, values) =>
    new Promise((resolve, reject) => {
      checkValues(values);
      const index = indexOf(topic, partition);
      if (isClosed) return reject(new AppendFailed('closed', { inDoubt: false }));
      if (topic === 'mail.in' && space.isReserved()) return reject(new AppendFailed('full', { inDoubt: false }));
      let first = 0;
      let atMs = 0;
      const entries = (): Entry[] => {
        first = index.next;
        index.next += values.length;
        atMs = Math.max(clock.nowMs(), index.lastAppendedAtMs);
        const name = TOPICS.indexOf(topic);
        return values.map((value, at) => ({ kind: ENTRY.record, topic: name, partition, offset: first + at, atMs, value }));
      };
      writer.add({
        entries,
        octets: values.reduce((sum, value) => sum + ENTRY_HEADER_OCTETS + value.length, 0),
        durable: (segment, positions) => {
          values.forEach((value, at) => {
            const offset = index.high;
            index.add({ segment: segment.id, position: positions[at] ?? 0, octets: value.length, appendedAtMs: atMs });
            reader.remember(index, { offset, appendedAtMs: atMs, value });
          });
          segment.live += values.length;
          index.waiters.wake();
          resolve(first);
        },
        failed: (error) => {
          index.next = index.high;
          reject(error);
        },
      });
    });

  const trim: Log['trim'] = (topic, partition, below) =>
    new Promise((resolve, reject) => {
      const index = indexOf(topic, partition);
      if (isClosed) return reject(new AppendFailed('closed', { inDoubt: false }));
      if (below > index.high) return reject(new RangeError(`trim of ${topic}/${partition} below ${below}, high mark ${index.high}`));
      if (below <= index.low) return resolve();
      writer.add({
        entries: () => [{ kind: ENTRY.lowMark, topic: TOPICS.indexOf(topic), partition, offset: below, atMs: 0, value: NO_VALUE }],
        octets: ENTRY_HEADER_OCTETS,
        durable: () => {
          const before = segments.get(index.find(index.low)?.segment ?? -1);
          index.trim(below, (id) => {
            const segment = segments.get(id);
            if (segment) segment.live--;
          });
          index.waiters.wake();
          if (before?.live === 0) segments.removeDead(writer.newestSegment).catch((error: unknown) => onFault(error, before.path));
          resolve();
        },
        failed: reject,
      });
    });

  const readable: Readable = {
    partitions: (topic) => partitions.get(topic)?.length ?? 0,
    isClosed: () => isClosed,
    marks: async (topic, partition) => {
      const { low, high } = indexOf(topic, partition);
      return { low, high };
    },
    read: async (topic, partition, from, maxOctets): Promise<readonly LogRecord[]> => {
      const index = indexOf(topic, partition);
      const { low, high } = index;
      if (from < low || from > high) throw new OffsetGap(from, { low, high });
      return reader.read(index, from, maxOctets).catch((error: unknown) => {
        // A trim that passed the reader closes files under it.
        throw from < index.low ? new OffsetGap(from, { low: index.low, high: index.high }) : error;
      });
    },
    changed: async (topic, partition, offset, signal) => {
      const index = indexOf(topic, partition);
      if (offset >= index.low && offset >= index.high && !isClosed) await index.waiters.wait(signal);
    },
  };
  const positions = {
    committed: async (group: string, topic: TopicName, partition: number) =>
      commits.committed(group, topic, partition) ?? indexOf(topic, partition).low,
    commit: commits.note,
    flush: () => writer.flush(),
  };
  return {
    partitions: readable.partitions,
    read: readable.read,
    marks: readable.marks,
    append,
    trim,
    follow: (topic, partition, from, signal) => follow(readable, { topic, partition, from }, signal),
    consume: (group) => consume(readable, positions, group),
    committed: positions.committed,
    heldOctets: (topic, partition) => {
      const index = indexOf(topic, partition);
      const first = index.find(index.low);
      return first ? segments.octetsFrom(first.segment, first.position) : 0;
    },
    incarnation,
    freeShare: space.freeShare,
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      for (const all of partitions.values()) for (const index of all) index.waiters.wake();
      await writer.flush();
      commits.stop();
      await segments.closeAll();
    },
  };
}
