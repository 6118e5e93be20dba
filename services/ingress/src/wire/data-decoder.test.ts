import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DataDecoder } from './data-decoder.ts';

/** The same by the letter of RFC 5321 §4.5.2, on the whole text at once. */
function decodeWhole(wire: string): { content: string; end: number } | undefined {
  const found = `\r\n${wire}`.indexOf('\r\n.\r\n');
  if (found < 0) return undefined;
  const content = wire.slice(0, found).replace(/(^|\r\n)\./g, '$1');
  return { content, end: found + 3 };
}
const hasBare = (wire: string) => wire.replaceAll('\r\n', '').search(/[\r\n]/) >= 0;

function decode(wire: string, cuts: readonly number[]): { content: string; end: number; hasBareLineEnd: boolean } {
  const pieces: Buffer[] = [];
  const decoder = new DataDecoder((piece) => pieces.push(Buffer.from(piece)));
  const bounds = [0, ...[...cuts].sort((a, b) => a - b), wire.length];
  let end = -1;
  for (let at = 1; at < bounds.length && end < 0; at++) {
    const from = bounds[at - 1] ?? 0;
    const found = decoder.feed(Buffer.from(wire.slice(from, bounds[at]), 'latin1'));
    if (found >= 0) end = from + found;
  }
  return { content: Buffer.concat(pieces).toString('latin1'), end, hasBareLineEnd: decoder.hasBareLineEnd };
}

const wireText = fc
  .array(fc.constantFrom('\r', '\n', '\r\n', '.', 'a', '..', '\r\n.', '\r\n..', '\r\n.\r', 'x\xff'), { maxLength: 24 })
  .map((all) => all.join(''));

test('wherever a message is cut into chunks, its content, its end and its bare line ends are those of the whole', () => {
  fc.assert(
    fc.property(wireText, fc.boolean(), fc.array(fc.nat(60), { maxLength: 8 }), (text, isEnded, cutAt) => {
      const wire = isEnded ? `${text}\r\n.\r\nQUIT\r\n` : text;
      const cuts = cutAt.map((at) => at % (wire.length + 1));
      const expected = decodeWhole(wire);
      const everywhere = Array.from({ length: wire.length }, (_, at) => at);
      for (const decoded of [decode(wire, []), decode(wire, cuts), decode(wire, everywhere)]) {
        assert.equal(decoded.end, expected?.end ?? -1, JSON.stringify(wire));
        assert.equal(decoded.hasBareLineEnd && decoded.end >= 0, expected !== undefined && hasBare(wire.slice(0, expected.end)));
        if (expected && !decoded.hasBareLineEnd) assert.equal(decoded.content, expected.content, JSON.stringify(wire));
      }
    }),
    { numRuns: 3000 },
  );
});

test('no end of a message but CRLF.CRLF', () => {
  for (const end of [
    '\n.\n',
    '\n.\r\n',
    '\r\n.\n',
    '\r.\r',
    '\r\n.\r',
    '\r.\r\n',
    '\r\n.\r\r\n',
    '\n\n.\r\n',
    '\r\n. \r\n',
    '\r\n.\0\r\n',
    '.\r\n',
  ]) {
    assert.equal(decode(`text${end}`, []).end, -1, JSON.stringify(end));
  }
  assert.deepEqual(decode('.\r\n', []), { content: '', end: 3, hasBareLineEnd: false });
  assert.deepEqual(decode('..\r\n.\r\n', []), { content: '.\r\n', end: 7, hasBareLineEnd: false });
});

test('16 MiB of any line pattern are taken in steps of at most 50 ms for a chunk of 64 KiB', () => {
  for (const pattern of ['\r\n', '\r\n.', '\r\n..\r\n', 'a', '\r', '\n', '.', `${'x'.repeat(76)}\r\n`]) {
    const chunk = Buffer.from(pattern.repeat(65_536 / pattern.length));
    const decoder = new DataDecoder(() => {});
    let slowestMs = 0;
    for (let at = 0; at < 256; at++) {
      // Time of this thread: the clock on the wall belongs to the other tests too.
      const before = process.threadCpuUsage();
      decoder.feed(chunk);
      const { user, system } = process.threadCpuUsage(before);
      slowestMs = Math.max(slowestMs, (user + system) / 1000);
    }
    assert.ok(slowestMs < 50, `${JSON.stringify(pattern.slice(0, 8))}: ${slowestMs} ms`);
  }
});
