import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { type GroupBatch, type Log, OffsetGap } from '../port.ts';
import { type Bench, createBench, readAll, text, texts } from './fixtures/bench.ts';

async function bench(t: TestContext, options: Parameters<typeof createBench>[0] = {}): Promise<Bench> {
  const made = await createBench(options);
  t.after(() => made.close());
  return made;
}
const append = ({ log }: Bench, value: string, partition = 0): Promise<number> => log.append('mail.lane', partition, [text(value)]);
const turn = () => new Promise(setImmediate);

/** Consumes a lane's records up to the end of what is there. */
function consumeAll({ log }: Bench): Promise<void> {
  const stop = new AbortController();
  const onBatch = async ({ records }: GroupBatch) => {
    stop.abort();
    return (records.at(-1)?.offset ?? 0) + 1;
  };
  return log.consume({ group: 'g', topics: ['mail.lane'], maxBatchOctets: 1e6, onBatch, signal: stop.signal });
}

/** Files are removed behind the trim that freed them. */
async function untilSegments(made: Bench, count: number): Promise<void> {
  while ((await made.segments()).length !== count) await turn();
}

test('files go when every low mark has passed them; their index files too', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (let at = 0; at < 10; at++) await append(made, String(at));
  await made.log.trim('mail.lane', 0, 9);
  await append(made, 'more');
  await untilSegments(made, 2);
  await made.log.close();
  assert.deepEqual(await readdir(made.folder), ['000000000010.idx', '000000000010.seg', '000000000012.seg', 'lock.sqlite']);
  assert.deepEqual(await readAll(await made.open()), ['9', 'more']);
});

test('a quiet partition keeps the files from its low mark on, and heldOctets says so', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  await append(made, 'busy', 1);
  await append(made, 'quiet', 0);
  for (let at = 0; at < 10; at++) await append(made, 'x'.repeat(1000), 1);
  const { log } = made;
  const held = log.heldOctets('mail.lane', 0);
  assert.ok(held > 10_000 && held < 25_000, String(held));
  await log.trim('mail.lane', 1, 11);
  assert.ok(log.heldOctets('mail.lane', 0) >= 10_000);
  assert.equal(log.heldOctets('mail.lane', 1), 0);
  assert.equal(log.heldOctets('mail.lane', 2), 0);
  await log.trim('mail.lane', 0, 1);
  assert.equal(log.heldOctets('mail.lane', 0), 0);
  await append(made, 'z', 2);
  await append(made, 'z', 2);
  await untilSegments(made, 2);
});

test('a trim frees files in the middle while older ones are kept', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  await append(made, 'quiet', 0);
  for (let at = 0; at < 5; at++) await append(made, 'busy', 1);
  await append(made, 'other', 2);
  await made.log.trim('mail.lane', 1, 5);
  await append(made, 'other', 2);
  await untilSegments(made, 3);
  const log = await made.reopen();
  assert.deepEqual(
    [await readAll(log), await readAll(log, 'mail.lane', 1), await readAll(log, 'mail.lane', 2)],
    [['quiet'], [], ['other', 'other']],
  );
  assert.deepEqual(await log.marks('mail.lane', 1), { low: 5, high: 5 });
});

test('a trim removes at once what it frees', async (t) => {
  const made = await bench(t, { segmentOctets: 2000 });
  await append(made, 'quiet'.padEnd(1500), 0);
  for (let at = 0; at < 5; at++) await append(made, 'busy'.padEnd(1500), 1);
  assert.equal((await made.segments()).length, 6);
  await made.log.trim('mail.lane', 1, 5);
  await untilSegments(made, 2);
  assert.deepEqual(await made.segments(), ['000000000001.seg', '000000000007.seg']);
});

test('appendedAtMs does not go back with the clock, within a batch and between batches', async (t) => {
  let ms = 9000;
  const made = await bench(t, { clock: { nowMs: () => ms--, after: () => () => {} } });
  for (let batch = 0; batch < 3; batch++) await Promise.all(['a', 'b', 'c'].map((value) => append(made, value)));
  for (const log of [made.log, await made.reopen()]) {
    const at = (await log.read('mail.lane', 0, 0, 1000)).map(({ appendedAtMs }) => appendedAtMs);
    assert.equal(at.length, 9);
    assert.deepEqual(new Set(at), new Set([at[0]]));
  }
});

test('commits of a group outlive the file that they were written to', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  await append(made, 'a');
  await consumeAll(made);
  await made.log.trim('mail.lane', 0, 1);
  for (let at = 0; at < 5; at++) await append(made, 'b', 1);
  await made.log.trim('mail.lane', 1, 5);
  await append(made, 'c', 2);
  await untilSegments(made, 1);
  const log = await made.reopen();
  assert.equal(await log.committed('g', 'mail.lane', 0), 1);
  assert.equal(await append(made, 'next'), 1);
});

test('a file is not removed before the marks that passed it are on disk', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (let at = 0; at < 3; at++) await append(made, String(at));
  made.files.decide = (step) => (step === 'sync' ? { code: 'EIO' } : undefined);
  for (let at = 0; at < 3; at++) await assert.rejects(made.log.trim('mail.lane', 0, 3));
  for (let at = 0; at < 20; at++) await turn();
  assert.deepEqual(await made.segments(), ['000000000001.seg', '000000000002.seg', '000000000003.seg']);
  made.files.decide = () => undefined;
  assert.deepEqual(await readAll(await made.open({ folder: await made.copy() })), ['0', '1', '2']);
});

test('a file that cannot be removed is removed by the next start', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (let at = 0; at < 3; at++) await append(made, String(at));
  made.files.decide = (step) => (step === 'remove' ? { code: 'EIO' } : undefined);
  await made.log.trim('mail.lane', 0, 3);
  await append(made, 'a', 1);
  for (let at = 0; at < 20; at++) await turn();
  made.files.decide = () => undefined;
  const log = await made.reopen();
  assert.deepEqual([await log.marks('mail.lane', 0), await readAll(log, 'mail.lane', 1)], [{ low: 3, high: 3 }, ['a']]);
  assert.ok((await made.segments()).length <= 2);
});

test('a trim that passes a running read makes it an offset gap or lets it end, and never a wrong record', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  const value = 'x'.repeat(1000);
  for (let at = 0; at < 20; at++) await append(made, `${at} ${value}`);
  const log = await made.reopen();
  let reads = 0;
  made.files.beforeRead = async () => {
    if (++reads !== 3) return;
    await log.trim('mail.lane', 0, 19);
    await append(made, 'a new file', 1);
    while ((await made.segments()).length > 4) await turn();
  };
  for (const from of [0, 10, 19]) {
    const marks = await log.marks('mail.lane', 0);
    try {
      const records = await log.read('mail.lane', 0, from, 1e6);
      assert.ok(texts(records).every((found, at) => found === `${from + at} ${value}`));
      assert.ok(records.length > 0);
    } catch (error) {
      assert.ok(error instanceof OffsetGap, String(error));
      assert.ok(from < error.marks.low && marks.low <= error.marks.low);
    }
  }
  assert.ok(reads > 3);
  assert.deepEqual((await made.segments()).includes('000000000003.seg'), false);
});

test('records come from the file as they came from memory, over windows and files', async (t) => {
  const made = await bench(t, { segmentOctets: 3 * 1024 ** 2 });
  const values = Array.from({ length: 300 }, (_, at) => `${at}:`.padEnd(1 + ((at * 7919) % 60_000), 'abc'));
  for (let at = 0; at < values.length; at += 10) {
    const some = values.slice(at, at + 10).map(text);
    await Promise.all([made.log.append('mail.lane', 0, some), made.log.append('mail.lane', 1, [text('between')])]);
  }
  assert.deepEqual(await readAll(made.log), values);
  const log = await made.reopen();
  assert.deepEqual(await readAll(log), values);
  assert.equal((await readAll(log, 'mail.lane', 1)).length, 30);
  for (const from of [0, 17, 150, 299]) {
    const [first, ...rest] = await log.read('mail.lane', 0, from, 1);
    assert.deepEqual([first?.offset, rest.length], [from, 0]);
  }
});

type Acknowledged = readonly Map<number, string>[];

/** Lets a child append until so many appends are durable, and kills it. */
async function appendAndKill(folder: string, round: number, wanted: number, acknowledged: Acknowledged): Promise<void> {
  const program = new URL('./fixtures/appending-child.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, folder, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let seen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [, partition = '', offset = '', value = ''] = /^(\d) (\d+) (.+);$/.exec(line) ?? [];
    if (value) acknowledged[Number(partition)]?.set(Number(offset), value);
    if (++seen === wanted) child.kill('SIGKILL');
  }
  assert.deepEqual(await ended, [null, 'SIGKILL']);
}

async function checkAcknowledged(log: Log, partition: number, expected: ReadonlyMap<number, string>): Promise<void> {
  const found = await readAll(log, 'mail.lane', partition);
  const { low, high } = await log.marks('mail.lane', partition);
  assert.equal(found.length, high - low);
  assert.ok(high > Math.max(-1, ...expected.keys()));
  for (const [offset, value] of expected) {
    if (offset >= low) assert.ok(found[offset - low]?.startsWith(`${value} `), `${partition}/${offset}`);
  }
}

const KILL_ROUNDS = 4;
test(`nothing that was acknowledged is lost by kill -9, over ${KILL_ROUNDS} rounds`, { timeout: 60_000 }, async (t) => {
  const made = await bench(t);
  await made.log.close();
  const acknowledged = [0, 1, 2].map(() => new Map<number, string>());
  for (let round = 0; round < KILL_ROUNDS; round++) {
    await appendAndKill(made.folder, round, 150 + round * 100, acknowledged);
    const log = await made.open();
    for (const [partition, expected] of acknowledged.entries()) await checkAcknowledged(log, partition, expected);
    await log.close();
  }
  assert.ok(acknowledged.every(({ size }) => size > 100));
});
