import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blobContract } from './contract.ts';
import { createMemoryBlobs } from './memory-blobs.ts';

blobContract('memory', async () => {
  const blobs = createMemoryBlobs();
  return { blobs, reopen: async () => blobs, close: async () => {} };
});

test('blobs tell the instant of their last put', async () => {
  let ms = 5;
  const blobs = createMemoryBlobs({ nowMs: () => ms });
  await blobs.put('a', Buffer.from('1'));
  ms = 9;
  await blobs.put('a', Buffer.from('2'));
  for await (const entry of blobs.list('')) assert.deepEqual(entry, { key: 'a', octets: 1, storedAtMs: 9 });
});
