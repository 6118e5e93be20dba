import { DamagedLog } from '../embedded/damage.ts';
import type { LogRecord } from '../port.ts';
import { crc32c } from './crc32c.ts';

/*
 * Kafka's record batch, magic 2. Integers are big-endian; varints are zigzag.
 *
 *   batch  = baseOffset(8) length(4) leaderEpoch(4) magic(1) crc(4) attributes(2) lastOffsetDelta(4) baseTimestamp(8)
 *            maxTimestamp(8) producerId(8) producerEpoch(2) baseSequence(4) count(4) record*
 *   record = length(varint) attributes(1) timestampDelta(varint) offsetDelta(varint) keyLength(varint) key
 *            valueLength(varint) value headers(varint)
 *
 * `length` counts from leaderEpoch on, `crc` (CRC-32C) covers everything behind itself.
 */

const HEADER_OCTETS = 61;
const LENGTH_AT = 8;
const LENGTH_COVERS_FROM = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const CRC_COVERS_FROM = 21;
const LAST_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const COUNT_AT = 57;
const MAGIC = 2;
const COMPRESSION = 0x07;
const LOG_APPEND_TIME = 0x08;
const CONTROL = 0x20;

/** Octets that a record takes in a batch beside its value, at most. */
export const RECORD_OVERHEAD_OCTETS = 20;

const varintOctets = (zigzag: number): number =>
  zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x200000 ? 3 : zigzag < 0x10000000 ? 4 : 5;

function writeVarint(into: Buffer, at: number, zigzag: number): number {
  let rest = zigzag;
  let end = at;
  for (; rest >= 0x80; rest >>>= 7) into[end++] = (rest & 0x7f) | 0x80;
  into[end++] = rest;
  return end;
}

export function readInt64(from: Buffer, at: number): number {
  return from.readInt32BE(at) * 0x100000000 + from.readUInt32BE(at + 4);
}

/** Octets of a record behind its own length: attributes, deltas, no key, value, no headers. */
const recordOctets = (octets: number, offsetDelta: number): number =>
  1 + 1 + varintOctets(offsetDelta * 2) + 1 + varintOctets(octets * 2) + octets + 1;

/** One batch with the values, uncompressed, for a topic that stamps the time of the append itself. */
export function encodeRecordBatch(values: readonly Uint8Array[]): Buffer {
  let octets = HEADER_OCTETS;
  values.forEach((value, delta) => {
    const size = recordOctets(value.length, delta);
    octets += varintOctets(size * 2) + size;
  });
  const batch = Buffer.allocUnsafe(octets);
  batch.fill(0, 0, HEADER_OCTETS);
  batch.writeInt32BE(octets - LENGTH_COVERS_FROM, LENGTH_AT);
  batch.writeInt32BE(-1, LENGTH_COVERS_FROM);
  batch[MAGIC_AT] = MAGIC;
  batch.writeInt32BE(values.length - 1, LAST_DELTA_AT);
  // No producer id, epoch or sequence: the log drops no duplicates, its readers do.
  batch.fill(0xff, PRODUCER_ID_AT, COUNT_AT);
  batch.writeInt32BE(values.length, COUNT_AT);
  let at = HEADER_OCTETS;
  values.forEach((value, delta) => {
    at = writeVarint(batch, at, recordOctets(value.length, delta) * 2);
    batch[at++] = 0;
    batch[at++] = 0;
    at = writeVarint(batch, at, delta * 2);
    batch[at++] = 1;
    at = writeVarint(batch, at, value.length * 2);
    batch.set(value, at);
    at += value.length;
    batch[at++] = 0;
  });
  batch.writeUInt32BE(crc32c(batch.subarray(CRC_COVERS_FROM)), CRC_AT);
  return batch;
}

/** Reads varints one after the other. */
class Cursor {
  readonly #octets: Buffer;
  at: number;
  constructor(octets: Buffer, at: number) {
    this.#octets = octets;
    this.at = at;
  }
  varint(): number {
    let zigzag = 0;
    let octet = 0x80;
    for (let shift = 0; octet & 0x80; shift += 7) {
      octet = this.#octets[this.at++] ?? 0;
      // Timestamps have up to nine octets: nobody asks for their value.
      if (shift < 32) zigzag |= (octet & 0x7f) << shift;
    }
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }
}

export interface WantedRecords {
  readonly from: number;
  /** Values beyond this are left out, but one record always comes. */
  readonly maxOctets: number;
  /** Append time of the record before: the clock of a new leader may be behind, and time does not go back. */
  readonly sinceMs?: number;
}

interface BatchView {
  readonly octets: Buffer;
  readonly base: number;
  /** Where it lies, for the operator. */
  readonly name: string;
}

const damaged = ({ name, base }: BatchView, what: string) =>
  new DamagedLog(`${name}: the batch at offset ${base} ${what}; restore the topic, or let an operator give the records up`);

function checkBatch(batch: BatchView): void {
  const { octets } = batch;
  if (octets[MAGIC_AT] !== MAGIC) throw damaged(batch, `has format ${octets[MAGIC_AT]}, not ${MAGIC}`);
  if (crc32c(octets.subarray(CRC_COVERS_FROM)) !== octets.readUInt32BE(CRC_AT)) throw damaged(batch, 'has a wrong checksum');
  const compression = octets.readInt16BE(CRC_COVERS_FROM) & COMPRESSION;
  if (compression !== 0) throw damaged(batch, 'is compressed: set compression.type=producer on the topic');
}

function readBatch(batch: BatchView, { from, maxOctets, sinceMs = 0 }: WantedRecords, into: LogRecord[]): number {
  const { octets, base } = batch;
  checkBatch(batch);
  const attributes = octets.readInt16BE(CRC_COVERS_FROM);
  if (attributes & CONTROL) return maxOctets;
  const isLogTime = (attributes & LOG_APPEND_TIME) !== 0;
  const stampedMs = readInt64(octets, isLogTime ? MAX_TIMESTAMP_AT : BASE_TIMESTAMP_AT);
  const appendedAtMs = Math.max(stampedMs, into.at(-1)?.appendedAtMs ?? sinceMs);
  const cursor = new Cursor(octets, HEADER_OCTETS);
  let room = maxOctets;
  for (let left = octets.readInt32BE(COUNT_AT); left > 0; left--) {
    const size = cursor.varint();
    const end = cursor.at + size;
    if (size <= 0 || end > octets.length) throw damaged(batch, 'has a record that goes beyond it');
    cursor.at++;
    cursor.varint();
    const offset = base + cursor.varint();
    if (offset >= from) {
      const keyOctets = cursor.varint();
      if (keyOctets > 0) cursor.at += keyOctets;
      const length = Math.max(0, cursor.varint());
      if (cursor.at + length > end) throw damaged(batch, `has a value that goes beyond its record at offset ${offset}`);
      room -= length;
      if (room < 0 && into.length > 0) return room;
      // A copy, so that a record that is kept does not keep the whole response.
      into.push({ offset, appendedAtMs, value: Buffer.from(octets.subarray(cursor.at, cursor.at + length)) });
    }
    cursor.at = end;
  }
  return room;
}

/**
 * The records of the batches from an offset on. A batch that was cut off at the end is left out: the broker cuts a response
 * at its largest size.
 *
 * @throws DamagedLog
 */
export function decodeRecordBatches(octets: Buffer, wanted: WantedRecords, name: string): LogRecord[] {
  const records: LogRecord[] = [];
  let room = wanted.maxOctets;
  for (let at = 0; at + HEADER_OCTETS <= octets.length && (room >= 0 || records.length === 0); ) {
    const end = at + LENGTH_COVERS_FROM + octets.readInt32BE(at + LENGTH_AT);
    if (end > octets.length) break;
    const base = readInt64(octets, at);
    const last = base + octets.readInt32BE(at + LAST_DELTA_AT);
    if (last >= wanted.from) room = readBatch({ octets: octets.subarray(at, end), base, name }, { ...wanted, maxOctets: room }, records);
    at = end;
  }
  return records;
}
