import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import Decoder from 'kafkajs/src/protocol/decoder.js';
import decodeTheirs from 'kafkajs/src/protocol/recordBatch/v0/decoder.js';
import { DamagedLog } from '../embedded/damage.ts';
import { crc32c } from './crc32c.ts';
import { decodeRecordBatches, encodeRecordBatch } from './record-batch.ts';

const ALL = { from: 0, maxOctets: Number.POSITIVE_INFINITY };
const text = (value: string): Uint8Array => Buffer.from(value);
const texts = (octets: Buffer, wanted: Partial<typeof ALL> = {}) =>
  decodeRecordBatches(octets, { ...ALL, ...wanted }, 'topic/0').map(({ offset, value }) => `${offset}:${Buffer.from(value)}`);

/** As a broker keeps it: at an offset, stamped with the time of the append. */
function kept(values: readonly Uint8Array[], o: { base: number; atMs: number; attributes?: number }): Buffer {
  const batch = encodeRecordBatch(values);
  batch.writeBigInt64BE(BigInt(o.base), 0);
  batch.writeInt16BE(o.attributes ?? 0x08, 21);
  batch.writeBigInt64BE(BigInt(o.atMs), 35);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

test('the checksum is CRC-32C, at each length', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  const bitwise = (octets: Uint8Array) => {
    let crc = 0xffffffff;
    for (const octet of octets) {
      crc ^= octet;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    }
    return ~crc >>> 0;
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (octets) => crc32c(octets) === bitwise(octets)));
});

test('what is encoded is decoded, by us and by kafkajs', async () => {
  const values = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(values, async (all) => {
      const batch = kept(all, { base: 7_000_000_000, atMs: 1_790_000_000_000 });
      const ours = decodeRecordBatches(batch, ALL, 'topic/0');
      assert.deepEqual(
        ours.map(({ value }) => [...value]),
        all.map((value) => [...value]),
      );
      assert.ok(ours.every(({ offset, appendedAtMs }, at) => offset === 7_000_000_000 + at && appendedAtMs === 1_790_000_000_000));
      const theirs = await decodeTheirs(new Decoder(batch));
      assert.deepEqual(
        theirs.records.map(({ offset, timestamp, value }) => [offset, timestamp, [...(value ?? [])]]),
        ours.map(({ offset, appendedAtMs, value }) => [String(offset), String(appendedAtMs), [...value]]),
      );
    }),
    { numRuns: 50 },
  );
});

test('records below the wanted offset are left out, also within a batch', () => {
  const log = Buffer.concat([kept([text('a'), text('b')], { base: 10, atMs: 1 }), kept([text('c'), text('d')], { base: 12, atMs: 2 })]);
  assert.deepEqual(texts(log, { from: 11 }), ['11:b', '12:c', '13:d']);
  assert.deepEqual(texts(log, { from: 13 }), ['13:d']);
  assert.deepEqual(texts(log, { from: 14 }), []);
});

test('values beyond the wanted octets are left out, but one record always comes', () => {
  const log = Buffer.concat([kept([text('aa'), text('bb')], { base: 0, atMs: 1 }), kept([text('cc')], { base: 2, atMs: 2 })]);
  assert.deepEqual(texts(log, { maxOctets: 4 }), ['0:aa', '1:bb']);
  assert.deepEqual(texts(log, { maxOctets: 1 }), ['0:aa']);
  assert.deepEqual(texts(log, { maxOctets: 6 }), ['0:aa', '1:bb', '2:cc']);
});

test('the time of the append does not go back where the clock of a new leader is behind', () => {
  const log = Buffer.concat([5, 3, 9].map((atMs, base) => kept([text('a')], { base, atMs })));
  const times = (sinceMs?: number) =>
    decodeRecordBatches(log, { ...ALL, ...(sinceMs === undefined ? {} : { sinceMs }) }, 'topic/0').map(({ appendedAtMs }) => appendedAtMs);
  assert.deepEqual(times(), [5, 5, 9]);
  assert.deepEqual(times(7), [7, 7, 9]);
});

test('a batch that was cut off at the end of a response is left out, at each length', () => {
  const first = kept([text('a')], { base: 0, atMs: 1 });
  const log = Buffer.concat([first, kept([text('b'), text('c')], { base: 1, atMs: 1 })]);
  for (let length = first.length; length < log.length; length++) assert.deepEqual(texts(log.subarray(0, length)), ['0:a']);
});

test('a changed octet, another format and compression are damage that names the batch', () => {
  const good = kept([text('hello')], { base: 42, atMs: 1 });
  const damagedBy = (change: (batch: Buffer) => void) => {
    const batch = Buffer.from(good);
    change(batch);
    assert.throws(
      () => texts(batch),
      (error: unknown) => error instanceof DamagedLog && /topic\/0: the batch at offset 42/.test(error.message),
    );
  };
  for (let at = 17; at < good.length; at++) damagedBy((batch) => batch.writeUInt8((batch[at] ?? 0) ^ 0x10, at));
  damagedBy((batch) => batch.writeUInt8(1, 16));
  const compressed = kept([text('hello')], { base: 42, atMs: 1, attributes: 0x09 });
  assert.throws(() => texts(compressed), /compression.type=producer/);
});

test('marks of transactions, which others may have written, are no records', () => {
  const log = Buffer.concat([kept([text('mark')], { base: 0, atMs: 1, attributes: 0x28 }), kept([text('a')], { base: 1, atMs: 1 })]);
  assert.deepEqual(texts(log), ['1:a']);
});
