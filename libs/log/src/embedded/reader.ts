import type { LogRecord } from '../port.ts';
import { damagedAt } from './damage.ts';
import { decodeRecord, ENTRY_HEADER_OCTETS } from './format.ts';
import type { Found, PartitionIndex } from './partition.ts';
import type { Segment, Segments } from './segments.ts';

/** Octets of recent values kept in memory: what follows the tail reads no file. */
const RECENT_OCTETS = 16 * 1024 ** 2;
/** What an entry of the cache costs beside its value, about. */
const RECORD_OVERHEAD_OCTETS = 200;
/** Octets of a file read at once for records that lie near each other. */
const WINDOW_OCTETS = 1024 ** 2;

export interface Reader {
  /** Keeps a record that has just become durable, as long as there is room. */
  remember(index: PartitionIndex, record: LogRecord): void;
  read(index: PartitionIndex, from: number, maxOctets: number): Promise<readonly LogRecord[]>;
}

interface Remembered {
  readonly index: PartitionIndex;
  readonly offset: number;
  readonly octets: number;
}

/** The oldest go first, whatever partition they are of. */
function createRecent(): Reader['remember'] {
  let queue: Remembered[] = [];
  let head = 0;
  let octets = 0;
  return (index, record) => {
    index.recent.set(record.offset, record);
    queue.push({ index, offset: record.offset, octets: record.value.length + RECORD_OVERHEAD_OCTETS });
    octets += record.value.length + RECORD_OVERHEAD_OCTETS;
    while (octets > RECENT_OCTETS) {
      const oldest = queue[head++];
      if (oldest === undefined) break;
      octets -= oldest.octets;
      oldest.index.recent.delete(oldest.offset);
    }
    if (head > 1024 && head * 2 > queue.length) {
      queue = queue.slice(head);
      head = 0;
    }
  };
}

interface Look {
  readonly index: PartitionIndex;
  readonly segment: Segment;
  /** Octets from the first record's header on. */
  readonly window: Buffer;
  readonly from: number;
  readonly found: readonly Found[];
}

/** The records of one look at a file; values are copies, so that none holds the window. */
function recordsIn({ index, segment, window, from, found }: Look): LogRecord[] {
  const start = (found[0]?.position ?? 0) - ENTRY_HEADER_OCTETS;
  const { topic, partition } = index;
  return found.map(({ position, octets }, at) => {
    const offset = from + at;
    const entry = window.subarray(position - ENTRY_HEADER_OCTETS - start, position + octets - start);
    const isWhole = entry.length === ENTRY_HEADER_OCTETS + octets;
    const record = isWhole ? decodeRecord(entry, { topic, partition, offset }) : undefined;
    if (record === undefined) throw damagedAt(segment.path, position - ENTRY_HEADER_OCTETS);
    return { offset, appendedAtMs: record.appendedAtMs, value: Buffer.from(record.value) };
  });
}

/** Reads by the index of a partition. Each record that comes from a file is checked by its own checksum. */
export function createReader(segments: Segments): Reader {
  /** Records from the offset on that one look at a file can give. */
  const readWindow = async (index: PartitionIndex, from: number, maxOctets: number): Promise<LogRecord[]> => {
    const first = index.find(from);
    const segment = first && segments.get(first.segment);
    if (!segment) return [];
    const found: Found[] = [first];
    let octets = first.octets;
    for (let offset = from + 1; ; offset++) {
      const next = index.recent.has(offset) ? undefined : index.find(offset);
      if (next?.segment !== first.segment || next.position + next.octets - first.position > WINDOW_OCTETS) break;
      octets += next.octets;
      if (octets > maxOctets) break;
      found.push(next);
    }
    const last = found.at(-1) ?? first;
    const start = first.position - ENTRY_HEADER_OCTETS;
    const window = await segment.file.read(start, last.position + last.octets - start);
    return recordsIn({ index, segment, window, from, found });
  };
  return {
    remember: createRecent(),
    read: async (index, from, maxOctets) => {
      const records: LogRecord[] = [];
      let octets = 0;
      while (from + records.length < index.high) {
        const offset = from + records.length;
        const recent = index.recent.get(offset);
        const next = recent ? [recent] : await readWindow(index, offset, maxOctets - octets);
        const size = next.reduce((sum, { value }) => sum + value.length, 0);
        if (next.length === 0 || (records.length > 0 && octets + size > maxOctets)) break;
        records.push(...next);
        octets += size;
        if (octets >= maxOctets) break;
      }
      return records;
    },
  };
}
