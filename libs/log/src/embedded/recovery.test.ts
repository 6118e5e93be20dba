import assert from 'node:assert/strict';
import { appendFile, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DamagedLog } from './damage.ts';
import { type Bench, createBench, readAll, text, texts } from './fixtures/bench.ts';
import { encodeBatch, stateEntry } from './format.ts';

async function bench(t: TestContext, options: Parameters<typeof createBench>[0] = {}): Promise<Bench> {
  const made = await createBench(options);
  t.after(() => made.close());
  return made;
}
const append = ({ log }: Bench, value: string): Promise<number> => log.append('mail.lane', 0, [text(value)]);
const segmentPath = ({ folder }: Bench, id: number): string => join(folder, `${String(id).padStart(12, '0')}.seg`);
const flip = async (path: string, octet: number): Promise<void> => {
  const file = await readFile(path);
  file.writeUInt8(file.readUInt8(octet) ^ 4, octet);
  await writeFile(path, file);
};
const damagedIn = (path: string, octet: number) => (error: unknown) =>
  error instanceof DamagedLog && error.message.startsWith(`${path}: damaged at octet ${octet},`);

/** Places at which batches of a closed log's only segment begin, and its end. */
async function batchesOf(made: Bench, values: readonly string[]): Promise<{ path: string; starts: number[] }> {
  const path = segmentPath(made, 1);
  const starts: number[] = [];
  for (const value of values) {
    starts.push(
      await readFile(path).then(
        ({ length }) => length,
        () => 0,
      ),
    );
    await append(made, value);
  }
  starts.push((await readFile(path)).length);
  await made.log.close();
  return { path, starts };
}

test('a tail torn at any octet of the last batch is set aside, and the rest is there', async (t) => {
  const made = await bench(t);
  const { path, starts } = await batchesOf(made, ['a', 'b', 'the last one']);
  const [, , start = 0, end = 0] = starts;
  const whole = await readFile(path);
  assert.ok(end > start && whole.length === end);
  for (let length = start; length < end; length++) {
    await writeFile(path, whole.subarray(0, length));
    made.events.length = 0;
    const log = await made.open();
    assert.deepEqual(await readAll(log), ['a', 'b']);
    // Zeros at its end are nothing that anybody wrote.
    const tail = whole.subarray(start, start + whole.subarray(start, length).findLastIndex((octet) => octet !== 0) + 1);
    const aside = length === start ? [] : [`${path}.${start}.torn`];
    assert.deepEqual(
      made.events,
      aside.map((torn) => ({ event: 'log.tail.set_aside', path: torn })),
    );
    for (const torn of aside) assert.deepEqual(await readFile(torn), tail);
    await log.close();
  }
  await writeFile(path, whole.subarray(0, start + 5));
  await made.open();
  assert.equal(await append(made, 'next'), 2);
  assert.deepEqual(await readAll(await made.reopen()), ['a', 'b', 'next']);
});

test('a torn tail on a full disk stays in its segment, and the start goes on', async (t) => {
  const made = await bench(t);
  const { path, starts } = await batchesOf(made, ['a', 'b']);
  const whole = await readFile(path);
  const torn = whole.subarray(0, -1);
  await writeFile(path, torn);
  made.events.length = 0;
  const open = (at: string, options: { isNew: boolean }) =>
    at.endsWith('.torn') ? Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) : made.files.open(at, options);
  assert.deepEqual(await readAll(await made.open({ files: { ...made.files, open } })), ['a']);
  assert.deepEqual(made.events, [{ event: 'log.tail.set_aside', path }]);
  assert.deepEqual(await readFile(path), torn);
  await made.reopen();
  assert.deepEqual(await readFile(`${path}.${starts[1]}.torn`), torn.subarray(starts[1]));
  assert.deepEqual(await readAll(made.log), ['a']);
});

test('garbage and zeros behind the last batch do not count', async (t) => {
  const made = await bench(t);
  await append(made, 'a');
  for (const garbage of [Buffer.alloc(5000), Buffer.from('no batch at all'), (await readFile(segmentPath(made, 1))).subarray(0, 60)]) {
    await made.log.close();
    await appendFile(segmentPath(made, 1), garbage);
    assert.deepEqual(await readAll(await made.open()), ['a']);
  }
});

test('what was read at the start is written again and synced before anybody sees it', async (t) => {
  const made = await bench(t);
  await append(made, 'a');
  await made.log.close();
  made.files.steps.length = 0;
  await made.open();
  assert.deepEqual(
    made.files.steps.filter(({ step }) => step !== 'open' && step !== 'read').map(({ step }) => step),
    ['write', 'sync'],
  );
});

test('a disk that fails while the tail is written again fails the start, gives the folder free, and the next start is good', async (t) => {
  const made = await bench(t);
  await append(made, 'a');
  await made.log.close();
  made.files.decide = (step) => (step === 'sync' ? { code: 'EIO' } : undefined);
  await assert.rejects(made.open(), { code: 'EIO' });
  made.files.decide = () => undefined;
  assert.deepEqual(await readAll(await made.open()), ['a']);
});

test('a flipped bit anywhere below the last batch of the newest segment stops the start with file and octet', async (t) => {
  const made = await bench(t);
  const { path, starts } = await batchesOf(made, ['a', 'b', 'c', 'd']);
  // The first batch holds state, the first record and nothing else; each flip is found in the batch it lies in.
  const last = starts.at(-2) ?? 0;
  const stateEnd = (await readFile(path)).readUInt32LE(8) + 24;
  const begins = [0, stateEnd, ...starts.slice(1, -1)];
  for (let octet = 0; octet < last; octet += 3) {
    await flip(path, octet);
    const before = await readdir(made.folder);
    await assert.rejects(made.open(), damagedIn(path, begins.findLast((begin) => begin <= octet) ?? -1));
    assert.deepEqual(await readdir(made.folder), before);
    await flip(path, octet);
  }
  assert.equal((await readAll(await made.open())).length, 4);
});

test('what was cleared ahead is no tail, and a torn one in front of it is as long as what was written', async (t) => {
  const made = await bench(t, { clearOctets: 8192 });
  for (const value of ['a', 'b', 'x'.repeat(5000), 'c']) await append(made, value);
  await made.log.close();
  const [name = ''] = await made.segments();
  const path = join(made.folder, name);
  assert.ok((await readFile(path)).length > 8192);
  assert.deepEqual(await readAll(await made.open()), ['a', 'b', 'x'.repeat(5000), 'c']);
  assert.deepEqual(made.events, []);
  await made.log.close();
  const whole = await readFile(path);
  const end = whole.findLastIndex((octet) => octet !== 0) + 1;
  whole.fill(0, end - 3);
  await writeFile(path, whole);
  assert.deepEqual(await readAll(await made.open()), ['a', 'b', 'x'.repeat(5000)]);
  const torn = (await readdir(made.folder)).find((one) => one.endsWith('.torn'));
  assert.ok((await readFile(join(made.folder, torn ?? ''))).length < 200);
});

test('a flipped bit in the last batch is a torn tail: no later one proves that it was on disk', async (t) => {
  const made = await bench(t);
  const { path, starts } = await batchesOf(made, ['a', 'b', 'c']);
  const start = starts[2] ?? 0;
  await flip(path, start + 30);
  assert.deepEqual(await readAll(await made.open()), ['a', 'b']);
  assert.deepEqual(made.events, [{ event: 'log.tail.set_aside', path: `${path}.${start}.torn` }]);
});

test('a flipped bit in an older segment stops the start, as far back as segments are checked', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (const value of ['a', 'b', 'c', 'd']) await append(made, value);
  await made.log.close();
  const paths = [1, 2, 3].map((id) => segmentPath(made, id));
  const sizes = await Promise.all(paths.map(async (path) => (await readFile(path)).length));
  const [, second = 0, third = 0] = sizes;
  const stateEnd = (await readFile(paths[1] ?? '')).readUInt32LE(8) + 24;
  for (let octet = 0; octet < second; octet += 5) {
    await flip(paths[1] ?? '', octet);
    for (const checkedOctets of [undefined, second + third])
      await assert.rejects(
        made.open(checkedOctets === undefined ? {} : { checkedOctets }),
        damagedIn(paths[1] ?? '', octet < stateEnd ? 0 : stateEnd),
      );
    await flip(paths[1] ?? '', octet);
  }
  await flip(paths[1] ?? '', stateEnd + 30);
  await made.open({ checkedOctets: second + third - 1 });
  await made.log.close();
  await flip(paths[2] ?? '', 30);
  await assert.rejects(made.open({ checkedOctets: second + third - 1 }), damagedIn(paths[2] ?? '', 0));
  await flip(paths[2] ?? '', 30);
  await made.open({ checkedOctets: 0 });
});

test('a flipped bit in an older segment that was not checked: a read of that record names file and octet, all others are there', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (const value of ['a', 'b', 'c']) await append(made, value);
  await made.log.close();
  const path = segmentPath(made, 2);
  const at = (await readFile(path)).lastIndexOf('b');
  await flip(path, at);
  const log = await made.open({ checkedOctets: 0 });
  assert.deepEqual(texts(await log.read('mail.lane', 0, 0, 1)), ['a']);
  await assert.rejects(log.read('mail.lane', 0, 1, 1), damagedIn(path, at - 28));
  assert.deepEqual(texts(await log.read('mail.lane', 0, 2, 1)), ['c']);
});

test('a flipped bit in an older segment without an index file stops the start', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (const value of ['a', 'b', 'c']) await append(made, value);
  await made.log.close();
  await rm(join(made.folder, '000000000002.idx'));
  const path = segmentPath(made, 2);
  const stateEnd = (await readFile(path)).readUInt32LE(8) + 24;
  await flip(path, stateEnd + 30);
  await assert.rejects(made.open(), damagedIn(path, stateEnd));
});

test('an older segment that was cut short stops the start', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (const value of ['a', 'b', 'c']) await append(made, value);
  await made.log.close();
  const path = segmentPath(made, 2);
  const { length } = await readFile(path);
  await truncate(path, length - 1);
  await assert.rejects(made.open(), damagedIn(path, length - 1));
});

test('any octet of an index file may be wrong, or all be gone: the segment tells the same', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (const value of ['a', 'b', 'c']) await append(made, value);
  await made.log.append('mail.in', 1, [text('d'), text('e')]);
  await made.log.close();
  const path = join(made.folder, '000000000002.idx');
  const whole = await readFile(path);
  for (let length = 0; length < whole.length; length += 7) {
    await writeFile(path, whole.subarray(0, length));
    assert.deepEqual(await readAll(await made.open()), ['a', 'b', 'c']);
    await made.log.close();
    await writeFile(path, whole);
    await flip(path, length);
    assert.deepEqual(await readAll(await made.open()), ['a', 'b', 'c']);
    await made.log.close();
  }
  await made.open();
  await append(made, 'f');
  await made.log.close();
  assert.deepEqual((await readFile(path)).subarray(4), whole.subarray(4), 'made again from the segment');
  for (const name of await readdir(made.folder)) if (name.endsWith('.idx')) await rm(join(made.folder, name));
  await made.open();
  assert.deepEqual(await readAll(made.log), ['a', 'b', 'c', 'f']);
  assert.deepEqual(await readAll(made.log, 'mail.in', 1), ['d', 'e']);
});

test('a segment file that is gone stops the start and is named, as long as one of its records is needed', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (const value of ['a', 'b', 'c', 'd']) await append(made, value);
  await made.log.close();
  const path = segmentPath(made, 2);
  const file = await readFile(path);
  await rm(path);
  await assert.rejects(made.open(), (error: unknown) => error instanceof DamagedLog && error.message.includes(path));
  await writeFile(path, file);
  assert.deepEqual(await readAll(await made.open()), ['a', 'b', 'c', 'd']);
  await made.log.trim('mail.lane', 0, 2);
  await made.log.close();
  await rm(path, { force: true });
  assert.deepEqual(await readAll(await made.open()), ['c', 'd']);
});

test('an older segment that held the end of a partition is missed too', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  await made.log.append('mail.in', 0, [text('a')]);
  await append(made, 'b');
  await append(made, 'c');
  await made.log.close();
  await rm(segmentPath(made, 1));
  await assert.rejects(
    made.open(),
    (error: unknown) => error instanceof DamagedLog && error.message.startsWith('mail.in/0 lacks offsets 0 to 0'),
  );
});

test('a newer format is refused, and nothing is changed', async (t) => {
  const made = await bench(t);
  await append(made, 'a');
  await made.log.close();
  const state = stateEntry({ version: 2, incarnation: 1, segments: [], partitions: [], commits: [] });
  await writeFile(segmentPath(made, 2), encodeBatch([state], { segment: 2, position: 0 }));
  const before = await readdir(made.folder);
  await assert.rejects(made.open(), (error: unknown) => error instanceof DamagedLog && error.message.includes('format 2'));
  assert.deepEqual(await readdir(made.folder), before);
});

test('a second opening is refused while the first one lasts', async (t) => {
  const made = await bench(t);
  const { log } = made;
  await assert.rejects(made.open(), { name: 'FolderHeld' });
  await append(made, 'a');
  await log.close();
  assert.deepEqual(await readAll(await made.open()), ['a']);
});

test('a new segment that was made and never synced is put aside at any length, and the one before it goes on', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (const value of ['a', 'b']) await append(made, value);
  await made.log.close();
  const path = segmentPath(made, 2);
  const second = await readFile(path);
  const stateEnd = second.readUInt32LE(8) + 24;
  for (let length = 0; length < stateEnd; length += 11) {
    await writeFile(path, second.subarray(0, length));
    const log = await made.open();
    assert.deepEqual(await readAll(log), ['a']);
    assert.ok(made.events.some((seen) => seen.path === `${path}.torn`));
    await log.close();
  }
  // With its state and without a record it is the newest one.
  await writeFile(path, second.subarray(0, stateEnd));
  await made.open();
  assert.equal(await append(made, 'next'), 1);
  assert.deepEqual(await readAll(await made.reopen()), ['a', 'next']);
});

test('a very first segment that was torn bars nothing', async (t) => {
  const made = await bench(t);
  await append(made, 'a');
  await made.log.close();
  const path = segmentPath(made, 1);
  const whole = await readFile(path);
  for (const length of [0, 10, 100]) {
    await writeFile(path, whole.subarray(0, length));
    assert.deepEqual(await (await made.open()).marks('mail.lane', 0), { low: 0, high: 0 });
    await made.log.close();
  }
  await made.open();
  assert.equal(await append(made, 'b'), 0);
});

test('a folder whose only segments cannot be read is damaged, not new', async (t) => {
  const made = await bench(t);
  await made.log.append('mail.lane', 0, [new Uint8Array(500_000), new Uint8Array(500_000), new Uint8Array(500_000)]);
  await made.log.close();
  const path = segmentPath(made, 1);
  await writeFile(path, new Uint8Array((await readFile(path)).length));
  await assert.rejects(made.open(), damagedIn(path, 0));
  await rm(path);
  await writeFile(segmentPath(made, 7), 'x');
  await assert.rejects(made.open(), (error: unknown) => error instanceof DamagedLog && error.message.startsWith(made.folder));
});

test('three starts in a row over several segments find the same', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (let round = 0; round < 3; round++) {
    for (const value of ['a', 'b', 'c']) await append(made, value);
    assert.equal((await readAll(await made.reopen())).length, 3 * (round + 1));
  }
});

test('starts without anything to do leave the folder as it is', async (t) => {
  const made = await bench(t);
  await append(made, 'a');
  await made.log.close();
  const before = await readdir(made.folder);
  for (let round = 0; round < 3; round++) {
    await made.open();
    await made.log.close();
  }
  assert.deepEqual(await readdir(made.folder), before);
});

test('partitions that are configured later are added, and fewer keep the existing ones', async (t) => {
  const made = await bench(t);
  await made.log.append('mail.lane', 2, [text('a')]);
  const few = { 'mail.in': 1, 'mail.in.bulk': 1, 'mail.lane': 1, 'mail.control': 1, 'mail.dead': 1, 'mail.lease': 1 };
  const fewer = await made.reopen({ partitions: few });
  assert.equal(fewer.partitions('mail.lane'), 3);
  assert.equal(await fewer.append('mail.lane', 2, [text('b')]), 1);
  const more = await made.reopen({ partitions: { ...few, 'mail.lane': 5 } });
  assert.equal(more.partitions('mail.lane'), 5);
  assert.equal(await more.append('mail.lane', 4, [text('c')]), 0);
  assert.deepEqual(await readAll(more, 'mail.lane', 2), ['a', 'b']);
  assert.deepEqual(await readAll(await made.reopen(), 'mail.lane', 4), ['c']);
});

test('appendedAtMs does not go back over a reopen with an earlier clock, also when all was trimmed', async (t) => {
  const made = await bench(t);
  made.nowMs = 5000;
  await append(made, 'a');
  await made.log.trim('mail.lane', 0, 1);
  made.nowMs = 4000;
  await made.reopen();
  await append(made, 'b');
  const [record] = await made.log.read('mail.lane', 0, 1, 100);
  assert.equal(record?.appendedAtMs, 5000);
});
