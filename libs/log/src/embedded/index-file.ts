import { endianness } from 'node:os';
import { crc32 } from 'node:zlib';
import type { LogFiles } from './files.ts';
import { FORMAT_VERSION } from './format.ts';
import type { PartitionIndex, Run } from './partition.ts';
import type { Segment, Segments } from './segments.ts';

/*
 * Beside a segment that is written no more lies its index, so that a start need not read the segment:
 *
 *   index  = crc(4) headerLength(4) header[headerLength] column*
 *
 * `crc` covers everything behind itself. The header is JSON; each run has two columns of 32-bit integers in the machine's byte
 * order: places and sizes of the values. The file is never synced: a torn one does not pass its checksum, and is made again
 * from the segment.
 */

type RunHead = readonly [topic: number, partition: number, first: number, count: number];
interface Header {
  readonly version: number;
  readonly segment: number;
  /** Length of the segment that the index tells of. */
  readonly octets: number;
  readonly byteOrder: string;
  readonly runs: readonly RunHead[];
}
export type FoundRun = Run & { readonly topic: number; readonly partition: number };

const HEADER_AT = 8;

const octetsOf = (column: Uint32Array): Buffer => Buffer.from(column.buffer, column.byteOffset, column.byteLength);

function encodeIndex(segment: Segment, partitions: Iterable<PartitionIndex>): Buffer {
  const runs: RunHead[] = [];
  const columns: Buffer[] = [];
  for (const index of partitions) {
    const run = index.runIn(segment.id);
    if (run === undefined) continue;
    runs.push([index.topic, index.partition, run.first, run.positions.length]);
    columns.push(octetsOf(run.positions), octetsOf(run.octets));
  }
  const { id, octets } = segment;
  const header = Buffer.from(
    JSON.stringify({ version: FORMAT_VERSION, segment: id, octets, byteOrder: endianness(), runs } satisfies Header),
  );
  const head = Buffer.alloc(HEADER_AT);
  head.writeUInt32LE(header.length, 4);
  const index = Buffer.concat([head, header, ...columns]);
  index.writeUInt32LE(crc32(index.subarray(4)), 0);
  return index;
}

function decodeIndex(index: Buffer, { id, octets }: { id: number; octets: number }): FoundRun[] | undefined {
  if (index.length < HEADER_AT || index.readUInt32LE(0) !== crc32(index.subarray(4))) return undefined;
  let at = HEADER_AT + index.readUInt32LE(4);
  const header = JSON.parse(index.toString('utf8', HEADER_AT, at)) as Header;
  const isOfSegment = header.segment === id && header.octets === octets;
  if (!isOfSegment || header.version !== FORMAT_VERSION || header.byteOrder !== endianness()) return undefined;
  const take = (count: number): Uint32Array => {
    const column = new Uint32Array(count);
    octetsOf(column).set(index.subarray(at, at + column.byteLength));
    at += column.byteLength;
    return column;
  };
  return header.runs.map(([topic, partition, first, count]) => ({
    topic,
    partition,
    first,
    positions: take(count),
    octets: take(count),
  }));
}

/** The runs of a segment of this length; `undefined` when the file is missing, damaged or tells of another length. */
export async function readIndex(path: string, files: LogFiles, known: { id: number; octets: number }): Promise<FoundRun[] | undefined> {
  try {
    const file = await files.open(path, { isNew: false });
    try {
      return decodeIndex(await file.read(0, await file.size()), known);
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}

export interface IndexFilesDeps {
  readonly segments: Segments;
  readonly files: LogFiles;
  readonly partitions: () => Iterable<PartitionIndex>;
  readonly onFault: (error: unknown, path: string) => void;
}

/** Writes index files in the background, one at a time; one that cannot be written costs time at the next start. */
export function createIndexFiles({ segments, files, partitions, onFault }: IndexFilesDeps) {
  let running: Promise<void> = Promise.resolve();
  const write = async (segment: Segment) => {
    const path = segments.path(segment.id, 'idx');
    if (segments.get(segment.id) !== segment) return;
    try {
      await files.remove(path);
      const file = await files.open(path, { isNew: true });
      try {
        await file.write(encodeIndex(segment, partitions()), 0);
      } finally {
        await file.close();
      }
      // The segment may have been removed meanwhile.
      if (segments.get(segment.id) !== segment) await files.remove(path);
    } catch (error) {
      onFault(error, path);
    }
  };
  return {
    write: (segment: Segment): void => {
      if (segment.isIndexed) return;
      segment.isIndexed = true;
      running = running.then(() => write(segment));
    },
    settled: (): Promise<void> => running,
  };
}
