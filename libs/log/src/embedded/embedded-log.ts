import { holdFolder } from '@angarium/sql';
import { consume, follow, type Positions, type Readable } from '../following.ts';
import { checkPartition, createTurns } from '../limits.ts';
import { type Log, OffsetGap, type TopicName } from '../port.ts';
import { createAppend, createTrim } from './changes.ts';
import { createCommits } from './commits.ts';
import { diskFiles, type LogFiles } from './files.ts';
import { FORMAT_VERSION, type State, TOPICS } from './format.ts';
import { createIndexFiles } from './index-file.ts';
import { PartitionIndex } from './partition.ts';
import { createReader, type Reader } from './reader.ts';
import { type Recovered, recover } from './recovery.ts';
import { type Space, watchSpace } from './space.ts';
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
  /**
   * Octets of older segments that a start reads and checks whole, the youngest first: damage in them stops the start. What
   * is older is checked when it is read.
   *
   * @defaultValue 512 MiB, which takes about half a second
   */
  readonly checkedOctets?: number;
  /**
   * Octets that are cleared at once ahead of what is written; 0: never.
   *
   * @defaultValue 4 MiB
   */
  readonly clearOctets?: number;
  readonly clock: { nowMs(): number; after(delayMs: number, run: () => void): () => void };
  readonly logger: { warn(fields: object, event: string): void; error(fields: object, event: string): void };
  /** Called for each batch that got durable. */
  readonly observe?: (batch: BatchSeen) => void;
  readonly files?: LogFiles;
}

export interface EmbeddedLog extends Log {
  /** Share of the disk that is free: history is given back when it gets small. */
  freeShare(): number;
}

const SEGMENT_MAX_OCTETS = 1024 ** 3;
const CHECKED_OCTETS = 512 * 1024 ** 2;
const CLEAR_OCTETS = 4 * 1024 ** 2;
/** A partition's number has 16 bits on disk. */
const PARTITIONS_MAX = 65_536;

/**
 * Opens the log of one machine: one sequence of append-only files for all partitions.
 *
 * @throws FolderHeld when another process has the folder open
 * @throws DamagedLog when something that was once on disk is missing or changed
 */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
  const { folder, clock, logger, files = diskFiles, checkedOctets = CHECKED_OCTETS } = options;
  for (const topic of TOPICS)
    if (options.partitions[topic] > PARTITIONS_MAX) throw new RangeError(`${topic} has at most ${PARTITIONS_MAX} partitions`);
  if (options.segmentOctets > SEGMENT_MAX_OCTETS) throw new RangeError(`a segment has at most ${SEGMENT_MAX_OCTETS} octets`);
  await files.list(folder);
  const lock = await holdFolder(folder);
  try {
    const recovered = await recover({ folder, files, checkedOctets });
    for (const path of recovered.setAside) logger.warn({ path }, 'log.tail.set_aside');
    const onFault = (error: unknown, path: string) => logger.error({ path, reason: String(error) }, 'log.file.failed');
    const space = await watchSpace({ ...options, files, nowMs: () => clock.nowMs(), onFault });
    const log = createLog({ options, files, recovered, space, onFault });
    let closing: Promise<void> | undefined;
    const close = () => {
      closing ??= log.close().finally(() => lock.release());
      return closing;
    };
    return { ...log, close };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface Opened {
  readonly options: EmbeddedLogOptions;
  readonly files: LogFiles;
  readonly recovered: Recovered;
  readonly space: Space;
  readonly onFault: (error: unknown, path: string) => void;
}

type Partitions = ReadonlyMap<TopicName, readonly PartitionIndex[]>;

function partitionsOf({ options, recovered }: Opened): Partitions {
  return new Map(
    TOPICS.map((topic, number) => {
      const found = recovered.partitions.get(topic) ?? [];
      const missing = Math.max(0, options.partitions[topic] - found.length);
      return [topic, [...found, ...Array.from({ length: missing }, (_, at) => new PartitionIndex(number, found.length + at))]];
    }),
  );
}

/** What the next segment tells of everything before it. */
const stateOf = (partitions: Partitions, incarnation: number, older: State['segments']): Omit<State, 'commits'> => ({
  version: FORMAT_VERSION,
  incarnation,
  segments: older,
  partitions: [...partitions].flatMap(([topic, all]) =>
    all.map(({ low, high, lastAppendedAtMs: atMs }, partition) => ({ topic, partition, low, high, atMs })),
  ),
});

type IndexOf = (topic: TopicName, partition: number) => PartitionIndex;

function createReadable(indexOf: IndexOf, partitions: Partitions, reader: Reader, isClosed: () => boolean): Readable {
  const checkWithin = (from: number, { low, high }: PartitionIndex) => {
    if (from < low || from > high) throw new OffsetGap(from, { low, high });
  };
  return {
    partitions: (topic) => partitions.get(topic)?.length ?? 0,
    isClosed,
    marks: async (topic, partition) => {
      const { low, high } = indexOf(topic, partition);
      return { low, high };
    },
    read: async (topic, partition, from, maxOctets) => {
      const index = indexOf(topic, partition);
      checkWithin(from, index);
      const records = await reader.read(index, from, maxOctets).catch((error: unknown) => {
        // A trim that passed the reader closes files under it.
        checkWithin(from, index);
        throw error;
      });
      if (records.length === 0) checkWithin(from, index);
      return records;
    },
    changed: async (topic, partition, offset, signal) => {
      const index = indexOf(topic, partition);
      if (offset >= index.low && offset === index.high && !isClosed()) await index.waiters.wait(signal);
    },
  };
}

function createLog(opened: Opened): EmbeddedLog {
  const { options, files, recovered, space, onFault } = opened;
  const { clock, segmentOctets, clearOctets = CLEAR_OCTETS, observe = () => {} } = options;
  const { segments, incarnation, nextSegment } = recovered;
  const partitions = partitionsOf(opened);
  const all = () => [...partitions.values()].flat();
  let isClosed = false;
  const indexOf: IndexOf = (topic, partition) => {
    const found = partitions.get(topic) ?? [];
    checkPartition(partition, found.length, topic);
    return found[partition] as PartitionIndex;
  };
  // A failed flush was told to `onFault`, and the positions are kept for the next one.
  const flush = () => void writer.flush().catch(() => {});
  const commits = createCommits({ recovered: recovered.commits, clock, flush });
  const indexFiles = createIndexFiles({ segments, files, partitions: all, onFault });
  const state = (older: State['segments']): State => ({ ...stateOf(partitions, incarnation, older), commits: commits.durable() });
  const { riders } = commits;
  const writing = { segmentOctets, clearOctets, state, riders, ended: indexFiles.write, observe, onFault };
  const writer = new Writer({ segments, nextSegment, ...writing });
  const reader = createReader(segments);
  const readable = createReadable(indexOf, partitions, reader, () => isClosed);
  const positions: Positions = {
    committed: async (group, topic, partition) => commits.committed(group, topic, partition) ?? indexOf(topic, partition).low,
    commit: commits.note,
    flush: () => writer.flush(),
  };
  const changes = { indexOf, writer, segments, reader, space, nowMs: () => clock.nowMs(), onFault };
  return {
    partitions: readable.partitions,
    read: readable.read,
    marks: readable.marks,
    append: createAppend(changes),
    anyPartition: createTurns(readable.partitions),
    trim: createTrim(changes),
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
      isClosed = true;
      for (const { waiters } of all()) waiters.wake();
      await writer.close();
      commits.stop();
      await indexFiles.settled();
      await segments.closeAll();
    },
  };
}
