import { crc32 } from 'node:zlib';
import type { TopicName } from '../port.ts';

/*
 * A segment is a file of batches, each written and synced as a whole:
 *
 *   batch  = magic(4) crc(4) length(4) entries(4) synced(8) entry*
 *   entry  = kind(1) topic(1) partition(2) size(4) offset(8) at(8) crc(4) value[size]
 *
 * Integers are little-endian; offset, at and synced are doubles, so that 2^53 is the limit. A batch's `crc` covers the
 * segment's id, the batch's place in the file and everything behind `crc`: a start checks it. An entry's `crc` covers the
 * entry: a read checks it. `synced` is the file length that was on disk when the batch was written, which is the batch's own
 * place: a whole batch proves that everything below it was on disk once.
 *
 * The first batch of a segment holds one `state` entry: everything a reader needs to know of older segments. Frame and
 * `version` are the same in every format, so that an older release sees that it is too old.
 */

export const FORMAT_VERSION = 1;
const BATCH_MAGIC = 0x414e4731;
export const BATCH_HEADER_OCTETS = 24;
export const ENTRY_HEADER_OCTETS = 28;
const ENTRY_CRC_AT = 24;
const CRC_AT = 4;
const COVERED_AT = 8;
const SYNCED_AT = 16;

/** Order is part of the format. */
export const TOPICS: readonly TopicName[] = ['mail.in', 'mail.in.bulk', 'mail.lane', 'mail.control', 'mail.dead', 'mail.lease'];
export const ENTRY = { record: 1, lowMark: 2, commit: 3, state: 4 } as const;
type EntryKind = (typeof ENTRY)[keyof typeof ENTRY];

/** `offset`: of the record, the low mark or the commit. `value`: of the record; the group's name; the state as JSON. */
export interface Entry {
  readonly kind: EntryKind;
  readonly topic: number;
  readonly partition: number;
  readonly offset: number;
  readonly atMs: number;
  readonly value: Uint8Array;
}

export interface Place {
  readonly segment: number;
  /** Octets from the start of the file. */
  readonly position: number;
}

function checksum(batch: Buffer, { segment, position }: Place): number {
  const place = Buffer.allocUnsafe(16);
  place.writeDoubleLE(segment, 0);
  place.writeDoubleLE(position, 8);
  return crc32(batch.subarray(COVERED_AT), crc32(place));
}

const entryChecksum = (entry: Buffer): number => crc32(entry.subarray(ENTRY_HEADER_OCTETS), crc32(entry.subarray(0, ENTRY_CRC_AT)));

/**
 * The record that `entry` holds; its value is a view.
 *
 * @returns `undefined` when it is another one, or damaged
 */
export function decodeRecord(entry: Buffer, { topic, partition, offset }: Pick<Entry, 'topic' | 'partition' | 'offset'>) {
  const isRecord =
    entry.readUInt8(0) === ENTRY.record &&
    entry.readUInt8(1) === topic &&
    entry.readUInt16LE(2) === partition &&
    entry.readUInt32LE(4) === entry.length - ENTRY_HEADER_OCTETS &&
    entry.readDoubleLE(8) === offset &&
    entry.readUInt32LE(ENTRY_CRC_AT) === entryChecksum(entry);
  return isRecord ? { appendedAtMs: entry.readDoubleLE(16), value: entry.subarray(ENTRY_HEADER_OCTETS) } : undefined;
}

export const entryOctets = ({ value }: Entry): number => ENTRY_HEADER_OCTETS + value.length;

/** One batch, ready to be written at its place. */
export function encodeBatch(entries: readonly Entry[], place: Place): Buffer {
  const length = entries.reduce((sum, entry) => sum + entryOctets(entry), 0);
  const batch = Buffer.allocUnsafe(BATCH_HEADER_OCTETS + length);
  batch.writeUInt32LE(BATCH_MAGIC, 0);
  batch.writeUInt32LE(length, 8);
  batch.writeUInt32LE(entries.length, 12);
  batch.writeDoubleLE(place.position, SYNCED_AT);
  let at = BATCH_HEADER_OCTETS;
  for (const { kind, topic, partition, offset, atMs, value } of entries) {
    batch.writeUInt8(kind, at);
    batch.writeUInt8(topic, at + 1);
    batch.writeUInt16LE(partition, at + 2);
    batch.writeUInt32LE(value.length, at + 4);
    batch.writeDoubleLE(offset, at + 8);
    batch.writeDoubleLE(atMs, at + 16);
    batch.set(value, at + ENTRY_HEADER_OCTETS);
    batch.writeUInt32LE(entryChecksum(batch.subarray(at, at + ENTRY_HEADER_OCTETS + value.length)), at + ENTRY_CRC_AT);
    at += ENTRY_HEADER_OCTETS + value.length;
  }
  batch.writeUInt32LE(checksum(batch, place), CRC_AT);
  return batch;
}

export interface Batch {
  readonly octets: number;
  /** Entries with the place of their value in the file. */
  readonly entries: readonly (Entry & { readonly valueAt: number })[];
}

/**
 * Octets of the batch at the place, from `file`, which holds the whole segment up to its end.
 *
 * @returns `undefined` when there is no whole, undamaged batch
 */
function wholeBatch(file: Buffer, place: Place): Buffer | undefined {
  const { position } = place;
  if (position + BATCH_HEADER_OCTETS > file.length || file.readUInt32LE(position) !== BATCH_MAGIC) return undefined;
  const octets = BATCH_HEADER_OCTETS + file.readUInt32LE(position + 8);
  if (position + octets > file.length) return undefined;
  const batch = file.subarray(position, position + octets);
  return batch.readUInt32LE(CRC_AT) === checksum(batch, place) ? batch : undefined;
}

/** Where the whole, undamaged batches that the segment begins with end. */
export function wholeOctets(file: Buffer, segment: number): number {
  let position = 0;
  for (let batch = wholeBatch(file, { segment, position }); batch; batch = wholeBatch(file, { segment, position }))
    position += batch.length;
  return position;
}

/** The same batch with its entries. */
export function decodeBatch(file: Buffer, place: Place): Batch | undefined {
  const batch = wholeBatch(file, place);
  if (batch === undefined) return undefined;
  const entries: Batch['entries'][number][] = [];
  let at = BATCH_HEADER_OCTETS;
  for (let left = batch.readUInt32LE(12); left > 0; left--) {
    const size = batch.readUInt32LE(at + 4);
    entries.push({
      kind: batch.readUInt8(at) as EntryKind,
      topic: batch.readUInt8(at + 1),
      partition: batch.readUInt16LE(at + 2),
      offset: batch.readDoubleLE(at + 8),
      atMs: batch.readDoubleLE(at + 16),
      value: batch.subarray(at + ENTRY_HEADER_OCTETS, at + ENTRY_HEADER_OCTETS + size),
      valueAt: place.position + at + ENTRY_HEADER_OCTETS,
    });
    at += ENTRY_HEADER_OCTETS + size;
  }
  return { octets: batch.length, entries };
}

/**
 * Place of the last whole batch from the position on; 0: there is none. What only looks like a batch mostly does not tell
 * its own place, and costs no checksum.
 */
export function lastBatchFrom(file: Buffer, { segment, position }: Place): number {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(BATCH_MAGIC);
  let last = 0;
  for (let at = file.indexOf(magic, position); at >= 0; at = file.indexOf(magic, at + 1)) {
    const tellsItsPlace = at + BATCH_HEADER_OCTETS <= file.length && file.readDoubleLE(at + SYNCED_AT) === at;
    if (tellsItsPlace && wholeBatch(file, { segment, position: at })) last = at;
  }
  return last;
}

/** What a new segment knows of everything before it. */
export interface State {
  readonly version: number;
  readonly incarnation: number;
  /** Older segments that are still needed, with their lengths on disk. */
  readonly segments: readonly (readonly [id: number, octets: number])[];
  readonly partitions: readonly {
    readonly topic: TopicName;
    readonly partition: number;
    readonly low: number;
    readonly high: number;
    readonly atMs: number;
  }[];
  readonly commits: readonly { readonly group: string; readonly topic: TopicName; readonly partition: number; readonly offset: number }[];
}

export const stateEntry = (state: State): Entry => ({
  kind: ENTRY.state,
  topic: 0,
  partition: 0,
  offset: 0,
  atMs: 0,
  value: Buffer.from(JSON.stringify(state)),
});
