import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_OCTETS, createBlocks } from './blocks.ts';
import { Body } from './body.ts';

const open = () => ({ octets: 0, add: () => {}, complete: () => {}, release: () => {} });

function contentOf(body: Body): Buffer {
  const { buffer, rest } = body.assemble(0);
  assert.ok(buffer.length > 0);
  return Buffer.concat(rest);
}

test('a large body comes back as it was pushed, however it was cut', () => {
  const octets = Buffer.from(Array.from({ length: 3 * BLOCK_OCTETS + 5 }, (_, at) => at % 253));
  for (const size of [4096, 60_000, 65_536, BLOCK_OCTETS, BLOCK_OCTETS + 1]) {
    const body = new Body({ maxOctets: 1e9, blocks: createBlocks(), openHolding: open });
    for (let at = 0; at < octets.length; at += size) body.push(octets.subarray(at, at + size));
    assert.ok(contentOf(body).equals(octets), `in pieces of ${size}`);
  }
});

test('a large body keeps nothing of what the socket read', () => {
  const body = new Body({ maxOctets: 1e9, blocks: createBlocks(), openHolding: open });
  const read = Buffer.alloc(65_536, 'a');
  for (let at = 0; at < 8; at++) body.push(Buffer.from(read));
  const last = Buffer.alloc(65_536, 'b');
  body.push(last);
  last.fill('c');
  assert.equal(contentOf(body).subarray(-65_536).toString(), 'b'.repeat(65_536));
});

test('blocks of a released body serve the next one, and no body has those of another', () => {
  const blocks = createBlocks();
  const fill = (letter: string) => {
    const body = new Body({ maxOctets: 1e9, blocks, openHolding: open });
    for (let at = 0; at < 20; at++) body.push(Buffer.alloc(65_536, letter));
    return body;
  };
  const [one, two] = [fill('1'), fill('2')];
  one.release();
  one.release();
  assert.equal(blocks.idle, 19);
  const three = fill('3');
  assert.equal(blocks.idle, 0);
  assert.ok(contentOf(two).every((octet) => octet === 0x32));
  assert.ok(contentOf(three).every((octet) => octet === 0x33));
});

test('a body that passes its limit gives its blocks back at once', () => {
  const blocks = createBlocks();
  const body = new Body({ maxOctets: 300_000, blocks, openHolding: open });
  for (let at = 0; at < 6; at++) body.push(Buffer.alloc(65_536));
  assert.equal(body.lost, 'tooLarge');
  assert.equal(blocks.idle, 3);
});

test('what nobody needed between two trims is let go', () => {
  const blocks = createBlocks();
  const lent = Array.from({ length: 10 }, () => blocks.take());
  blocks.giveBack(lent);
  blocks.trim();
  assert.equal(blocks.idle, 10, 'all were needed');
  blocks.giveBack([blocks.take(), blocks.take(), blocks.take()]);
  blocks.trim();
  assert.equal(blocks.idle, 3);
  blocks.trim();
  assert.equal(blocks.idle, 0);
});
