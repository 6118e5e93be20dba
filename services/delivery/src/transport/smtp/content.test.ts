import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatData } from './content.ts';

const data = (content: string): string => Buffer.concat(formatData(Buffer.from(content, 'latin1'))).toString('latin1');

test('a leading dot is doubled, in the first line and in any other', () => {
  assert.equal(data('.\r\n..a\r\nb.c\r\n.'), '..\r\n...a\r\nb.c\r\n..\r\n');
});

test('content without a leading dot is not copied', () => {
  const content = Buffer.from('Subject: x\r\n\r\nhello\r\n');
  const [first, ...rest] = formatData(content);
  assert.equal(first?.buffer, content.buffer);
  assert.equal(first?.byteOffset, content.byteOffset);
  assert.deepEqual(rest, []);
});

test('content always ends in CRLF', () => {
  assert.equal(data(''), '');
  assert.equal(data('a'), 'a\r\n');
  assert.equal(data('a\n'), 'a\n\r\n');
  assert.equal(data('a\r\n'), 'a\r\n');
});

test('no content can end the message early, and a strict reader gets it back whole', () => {
  const text = fc
    .array(fc.constantFrom('.', '\r\n', 'a', '..', '\r\n.', '\r\n.\r\n', '\n.\n', 'bc'), { maxLength: 40 })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, (content) => {
      const sent = `\r\n${data(content)}`;
      if (/\n\.\r?\n/.test(sent)) return false;
      if (content.includes('\n.\n')) return true;
      const ended = content === '' || content.endsWith('\r\n') ? content : `${content}\r\n`;
      return sent.slice(2).replace(/(^|\r\n)\./g, '$1') === ended;
    }),
    { numRuns: 2000 },
  );
});
