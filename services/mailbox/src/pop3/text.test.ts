import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dotStuffed, topOf } from './text.ts';

async function* from(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString('latin1');
}

const pieces = (text: string, cuts: readonly number[]): Uint8Array[] => {
  const at = [0, ...[...cuts].map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
  return at.slice(1).map((end, index) => Buffer.from(text.slice(at[index], end), 'latin1'));
};
const mailText = fc
  .array(fc.constantFrom('\r\n', '.', '\r', '\n', 'a', 'Subject: x', '\r\n\r\n'), { maxLength: 60 })
  .map((parts) => parts.join(''));
const someCuts = fc.array(fc.nat(200), { maxLength: 8 });

test('each dot that begins a line is doubled, wherever the chunks are cut', async () => {
  await fc.assert(
    fc.asyncProperty(mailText, someCuts, async (text, cuts) => {
      const expected = `\r\n${text}`.replaceAll('\r\n.', '\r\n..').slice(2);
      assert.equal(await joined(dotStuffed(from(pieces(text, cuts)))), expected);
    }),
  );
});

test('dots are doubled across the cuts that are made in long chunks', async () => {
  const text = `${'x'.repeat(64 * 1024 - 2)}\r\n.y\r\n${'z'.repeat(64 * 1024 - 6)}\r\n.`;
  assert.equal(await joined(dotStuffed(from([Buffer.from(text)]))), text.replaceAll('\r\n.', '\r\n..'));
});

test('text without such dots is handed on uncopied', async () => {
  const chunk = Buffer.from('a.b\r\n');
  for await (const sent of dotStuffed(from([chunk]))) assert.equal(sent.buffer, chunk.buffer);
});

test('TOP gives the header, its blank line, and so many lines of the body, wherever the chunks are cut', async () => {
  await fc.assert(
    fc.asyncProperty(mailText, someCuts, fc.nat(5), async (text, cuts, bodyLines) => {
      const lines = text.split(/(?<=\r\n)/);
      const blank = lines.indexOf('\r\n');
      const expected = blank < 0 ? text : lines.slice(0, blank + 1 + bodyLines).join('');
      assert.equal(await joined(topOf(from(pieces(text, cuts)), bodyLines)), expected);
    }),
  );
});
