import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLineSplitter, type Line } from './lines.ts';

function split(chunks: readonly Buffer[], maxOctets: number): Line[] {
  const splitter = createLineSplitter();
  const lines: Line[] = [];
  for (const chunk of chunks) {
    splitter.push(chunk);
    for (let line = splitter.next(maxOctets); line; line = splitter.next(maxOctets)) lines.push(line);
  }
  return lines;
}

test('a line is what stands before CRLF', () => {
  assert.deepEqual(split([Buffer.from('A\r\nB c\r\n\r\nhalf')], 255), [
    { is: 'line', text: 'A' },
    { is: 'line', text: 'B c' },
    { is: 'line', text: '' },
  ]);
});

test('LF alone ends a line that is told apart; CR alone ends none', () => {
  assert.deepEqual(split([Buffer.from('A\nB\rC\r\n')], 255), [{ is: 'bareLf' }, { is: 'line', text: 'B\rC' }]);
});

test('a line of exactly the limit is taken, one octet more is not, and the next line is', () => {
  const exact = 'x'.repeat(253);
  assert.deepEqual(split([Buffer.from(`${exact}\r\n${exact}y\r\nQUIT\r\n`)], 255), [
    { is: 'line', text: exact },
    { is: 'tooLong' },
    { is: 'line', text: 'QUIT' },
  ]);
});

test('a line that never ends is not kept', () => {
  const splitter = createLineSplitter();
  for (let count = 0; count < 1000; count++) {
    splitter.push(Buffer.alloc(1000, 'x'));
    assert.equal(splitter.next(255), undefined);
    assert.equal(splitter.bufferedOctets, 0);
  }
  splitter.push(Buffer.from('\r\nA\r\n'));
  assert.deepEqual([splitter.next(255), splitter.next(255)], [{ is: 'tooLong' }, { is: 'line', text: 'A' }]);
});

test('clear drops half a line, and that one was being dropped', () => {
  const splitter = createLineSplitter();
  splitter.push(Buffer.alloc(300, 'x'));
  splitter.next(255);
  splitter.clear();
  splitter.push(Buffer.from('A\r\n'));
  assert.deepEqual(splitter.next(255), { is: 'line', text: 'A' });
});

test('octets one at a time give the lines that all at once give', () => {
  const octet = fc.constantFrom(13, 10, 13, 10, 65, 32, 0, 255);
  fc.assert(
    fc.property(fc.array(octet, { maxLength: 300 }), (octets) => {
      const whole = split([Buffer.from(octets)], 20);
      assert.deepEqual(
        split(
          octets.map((one) => Buffer.from([one])),
          20,
        ),
        whole,
      );
    }),
  );
});
