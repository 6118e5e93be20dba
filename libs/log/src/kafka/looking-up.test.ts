import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogRecord } from '../port.ts';
import { createLookUp } from './looking-up.ts';
import { createRecent } from './recent.ts';

const AT = { topic: 'mail.lane', partition: 3 };
const OCTETS = 1000;
const KEPT = 1024 ** 2;

const recordAt = (offset: number): LogRecord => ({ offset, appendedAtMs: 0, value: Buffer.alloc(OCTETS, offset % 251) });

/** A partition of a thousand records; a request ends when it is told to. */
function createBench(keptOctets = KEPT) {
  const requests: { readonly from: number; readonly maxOctets: number }[] = [];
  let next: Error | undefined;
  const read = async (_: typeof AT, from: number, maxOctets: number) => {
    requests.push({ from, maxOctets });
    await Promise.resolve();
    const failure = next;
    next = undefined;
    if (failure) throw failure;
    const count = Math.min(1000 - from, Math.max(1, Math.floor(maxOctets / OCTETS)));
    return Array.from({ length: Math.max(0, count) }, (__, at) => recordAt(from + at));
  };
  const fail = (failure: Error) => {
    next = failure;
  };
  return { requests, lookUp: createLookUp(createRecent(keptOctets), read), fail };
}

test('a reader that takes record after record costs few requests', async () => {
  const { requests, lookUp } = createBench();
  for (let offset = 0; offset < 500; offset++) assert.deepEqual(await lookUp(AT, offset, 1), [recordAt(offset)]);
  assert.ok(requests.length <= 4, `${requests.length} requests`);
});

test('many who ask at once for neighbours share the requests', async () => {
  const { requests, lookUp } = createBench();
  const found = await Promise.all(Array.from({ length: 200 }, (_, offset) => lookUp(AT, offset, 1)));
  assert.deepEqual(
    found,
    Array.from({ length: 200 }, (_, offset) => [recordAt(offset)]),
  );
  assert.ok(requests.length <= 2, `${requests.length} requests`);
});

test('records here and there are read alone, and so is what is asked for in bulk', async () => {
  const { requests, lookUp } = createBench();
  for (const offset of [900, 100, 600]) assert.deepEqual(await lookUp(AT, offset, 1), [recordAt(offset)]);
  assert.equal((await lookUp(AT, 0, 1024 ** 2)).length, 1000);
  assert.deepEqual(
    requests.map(({ maxOctets }) => maxOctets),
    [1, 1, 1, 1024 ** 2],
  );
});

test('where nothing can be kept, each record comes all the same', async () => {
  const { lookUp } = createBench(0);
  for (let offset = 0; offset < 5; offset++) assert.deepEqual(await lookUp(AT, offset, 1), [recordAt(offset)]);
});

test('no more comes than was asked for, and nothing at the end', async () => {
  const { lookUp } = createBench();
  await lookUp(AT, 0, 1);
  assert.equal((await lookUp(AT, 1, 3 * OCTETS)).length, 3);
  assert.equal((await lookUp(AT, 2, 3 * OCTETS)).length, 3);
  assert.deepEqual(await lookUp(AT, 1000, 1), []);
});

test('a request that fails fails for who made it; who waited for it asks anew', async () => {
  const { lookUp, fail } = createBench();
  fail(new Error('no leader'));
  const [first, second] = await Promise.allSettled([lookUp(AT, 0, 1), lookUp(AT, 1, 1)]);
  assert.equal(first?.status, 'rejected');
  assert.deepEqual(second, { status: 'fulfilled', value: [recordAt(1)] });
});
