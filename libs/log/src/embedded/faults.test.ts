import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AppendFailed, type GroupBatch } from '../port.ts';
import { type Bench, createBench, readAll, text } from './fixtures/bench.ts';
import type { Fault, Step } from './fixtures/failing-files.ts';

async function bench(t: TestContext, options: Parameters<typeof createBench>[0] = {}): Promise<Bench> {
  const made = await createBench(options);
  t.after(() => made.close());
  return made;
}
const append = ({ log }: Bench, value: string): Promise<number> => log.append('mail.lane', 0, [text(value)]);
const failed = (reason: AppendFailed['reason'], inDoubt: boolean) => (error: unknown) =>
  error instanceof AppendFailed && error.reason === reason && error.inDoubt === inDoubt;

/** Fails the next `times` steps of a kind. */
function fail({ files }: Bench, wanted: Step, fault: Fault, times = 1): void {
  let left = times;
  files.decide = (step) => (step === wanted && left-- > 0 ? fault : undefined);
}

/** No write and no sync of a file behind one that failed on it; one that was removed is another file when it comes again. */
function checkNothingBehindAFailure({ files }: Bench): void {
  const dead = new Set<string>();
  let failures = 0;
  for (const { step, path, failed: isFailed } of files.steps) {
    if (step === 'remove' && !isFailed) dead.delete(path);
    if (step !== 'write' && step !== 'sync' && step !== 'state') continue;
    assert.ok(!dead.has(path), `${step} of ${path} behind a failure`);
    if (!isFailed) continue;
    dead.add(path);
    failures++;
  }
  assert.ok(failures > 0, 'a step failed');
}

const cases: readonly { name: string; step: Step; fault: Fault; error: ReturnType<typeof failed>; isKeptByAKill: boolean }[] = [
  { name: 'a full disk at a write', step: 'write', fault: { code: 'ENOSPC' }, error: failed('full', true), isKeptByAKill: false },
  {
    name: 'a full disk within a write',
    step: 'write',
    fault: { code: 'ENOSPC', partOctets: 40 },
    error: failed('full', true),
    isKeptByAKill: false,
  },
  {
    name: 'a full quota within a write',
    step: 'write',
    fault: { code: 'EDQUOT', partOctets: 9 },
    error: failed('full', true),
    isKeptByAKill: false,
  },
  { name: 'an I/O error at a write', step: 'write', fault: { code: 'EIO' }, error: failed('failed', true), isKeptByAKill: false },
  {
    name: 'an I/O error that wrote everything',
    step: 'write',
    fault: { code: 'EIO', partOctets: 1e6 },
    error: failed('failed', true),
    isKeptByAKill: true,
  },
  { name: 'an I/O error at a sync', step: 'sync', fault: { code: 'EIO' }, error: failed('failed', true), isKeptByAKill: true },
  { name: 'a full disk at a sync', step: 'sync', fault: { code: 'ENOSPC' }, error: failed('full', true), isKeptByAKill: true },
];

for (const { name, step, fault, error, isKeptByAKill } of cases) {
  test(`${name}: refused, never there afterwards, healed by the next append`, async (t) => {
    const made = await bench(t);
    await append(made, 'before');
    fail(made, step, fault);
    await assert.rejects(append(made, 'refused'), error);
    assert.deepEqual(await made.log.marks('mail.lane', 0), { low: 0, high: 1 });
    assert.equal(await append(made, 'after'), 1);
    assert.equal(await append(made, 'more'), 2);
    checkNothingBehindAFailure(made);
    assert.deepEqual(await readAll(made.log), ['before', 'after', 'more']);
    assert.deepEqual(await readAll(await made.reopen()), ['before', 'after', 'more']);
    assert.deepEqual(await readAll(await made.reopen()), ['before', 'after', 'more']);
    assert.ok(made.events.some(({ event, path }) => event === 'log.file.failed' && path?.endsWith('000000000001.seg')));
  });

  test(`${name}, and a stop before the next good one: there only after a kill, and only when it was in doubt`, async (t) => {
    const made = await bench(t);
    await append(made, 'before');
    fail(made, step, fault);
    await assert.rejects(append(made, 'refused'), error);
    const { log } = made;
    const killed = await made.open({ folder: await made.copy() });
    assert.deepEqual(await readAll(killed), isKeptByAKill ? ['before', 'refused'] : ['before']);
    assert.equal(await killed.append('mail.lane', 0, [text('after')]), isKeptByAKill ? 2 : 1);
    await log.close();
    assert.deepEqual(await readAll(await made.open()), ['before']);
    assert.equal(await append(made, 'after'), 1);
  });
}

for (const [step, code, reason] of [
  ['open', 'ENOSPC', 'full'],
  ['state', 'ENOSPC', 'full'],
  ['open', 'EIO', 'failed'],
  ['state', 'EIO', 'failed'],
  ['sync', 'EIO', 'failed'],
] as const) {
  test(`a new segment that fails with ${code} at ${step}: refused and not in doubt, no file is left, heals by itself`, async (t) => {
    const made = await bench(t, { segmentOctets: 1 });
    await append(made, 'before');
    const files = await made.segments();
    fail(made, step, { code }, 20);
    for (let at = 0; at < 20; at++) await assert.rejects(append(made, 'refused'), failed(reason, false));
    assert.deepEqual(await made.segments(), files);
    assert.equal(await append(made, 'after'), 1);
    if (step !== 'open') checkNothingBehindAFailure(made);
    assert.deepEqual(await readAll(await made.reopen()), ['before', 'after']);
  });
}

test('new segments that fail and cannot be removed are not taken for the log afterwards', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  await append(made, 'before');
  made.files.decide = (step) => (step === 'sync' || step === 'remove' ? { code: 'EIO' } : undefined);
  for (let at = 0; at < 3; at++) await assert.rejects(append(made, 'refused'), failed('failed', false));
  made.files.decide = () => undefined;
  assert.equal(await append(made, 'after'), 1);
  assert.deepEqual(await readAll(await made.reopen()), ['before', 'after']);
  assert.equal((await made.segments()).length, 2);
});

test('everything that waited for the failed batch fails with it, and nothing that came later', async (t) => {
  const made = await bench(t);
  await append(made, 'before');
  fail(made, 'sync', { code: 'EIO' });
  const values = ['a', 'b', 'c'];
  const outcomes = await Promise.allSettled([...values.map((value) => append(made, value)), made.log.trim('mail.lane', 0, 1)]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected', 'rejected'],
  );
  assert.deepEqual(await made.log.marks('mail.lane', 0), { low: 0, high: 1 });
  assert.deepEqual(await Promise.all(values.map((value) => append(made, value))), [1, 2, 3]);
});

test('readers see a record when it is synced, and not before', async (t) => {
  const made = await bench(t);
  await append(made, 'before');
  const { log, files } = made;
  const seen: number[] = [];
  files.decide = (step) => {
    if (step === 'sync') log.marks('mail.lane', 0).then(({ high }) => seen.push(high), assert.ifError);
    return undefined;
  };
  await append(made, 'after');
  assert.deepEqual(seen, [1]);
  assert.equal((await log.marks('mail.lane', 0)).high, 2);
});

/** Consumes `mail.lane` up to the end of what is there; the consumption ends as the log decides. */
function consumeAll({ log }: Bench, onBatch: (batch: GroupBatch) => void = () => {}): Promise<void> {
  const stop = new AbortController();
  return log.consume({
    group: 'g',
    topics: ['mail.lane'],
    maxBatchOctets: 1e6,
    signal: stop.signal,
    onBatch: async (batch) => {
      onBatch(batch);
      stop.abort();
      return (batch.records.at(-1)?.offset ?? 0) + 1;
    },
  });
}

const tick = (made: Bench): Promise<void> => {
  made.runTimers();
  return new Promise(setImmediate);
};

test('a consumption whose last commits cannot be written rejects, and its records come again', async (t) => {
  const made = await bench(t);
  await append(made, 'a');
  made.files.decide = (step) => (step === 'sync' ? { code: 'EIO' } : undefined);
  await assert.rejects(consumeAll(made), failed('failed', true));
  assert.equal(await made.log.committed('g', 'mail.lane', 0), 0);
});

test('commits that could not be written are written when the disk is well again, without any append', async (t) => {
  const made = await bench(t);
  await append(made, 'a');
  made.files.decide = (step) => (step === 'sync' || step === 'state' ? { code: 'EIO' } : undefined);
  await assert.rejects(consumeAll(made));
  const failures = made.events.length;
  while (made.events.length < failures + 3) await tick(made);
  made.files.decide = () => undefined;
  while ((await made.log.committed('g', 'mail.lane', 0)) !== 1) await tick(made);
});

test('a batch that ends after the close writes nothing', async (t) => {
  const made = await bench(t);
  await append(made, 'a');
  const files = await made.segments();
  const { log } = made;
  const entered = Promise.withResolvers<void>();
  const held = Promise.withResolvers<number>();
  const consuming = log.consume({
    group: 'g',
    topics: ['mail.lane'],
    maxBatchOctets: 1e6,
    signal: new AbortController().signal,
    onBatch: () => {
      entered.resolve();
      return held.promise;
    },
  });
  await entered.promise;
  await log.close();
  held.resolve(1);
  await consuming;
  const steps = made.files.steps.length;
  for (let at = 0; at < 5; at++) await tick(made);
  assert.equal(made.files.steps.length, steps);
  assert.deepEqual(await made.segments(), files);
});

test('a close waits for what is under way; the folder is free afterwards and not before', async (t) => {
  const made = await bench(t);
  const { log } = made;
  const written = Array.from({ length: 20 }, (_, at) => append(made, String(at)));
  const closing = [log.close(), log.close()];
  await assert.rejects(made.open(), { name: 'FolderHeld' });
  await Promise.all(closing);
  await Promise.all(written);
  assert.equal((await readAll(await made.open())).length, 20);
});

test('a reserve of the disk: new mail is refused as full, what comes of accepted mail is not', async (t) => {
  const made = await bench(t, { reserveShare: 0.1, reserveOctets: 1000 });
  await made.log.append('mail.in', 0, [text('a')]);
  made.files.freeOctets = 99;
  made.nowMs += 1000;
  made.log.freeShare();
  while (made.log.freeShare() > 0.1) await new Promise(setImmediate);
  await assert.rejects(made.log.append('mail.in', 0, [text('b')]), failed('full', false));
  await made.log.append('mail.lane', 0, [text('c')]);
  await made.log.append('mail.in.bulk', 0, [text('d')]);
  made.files.freeOctets = 100;
  made.nowMs += 1000;
  while (made.log.freeShare() < 0.1) await new Promise(setImmediate);
  await made.log.append('mail.in', 0, [text('e')]);
});

test('zeros that cannot be written for want of room cost nothing; after another failure the next batch goes to a new segment', async (t) => {
  const made = await bench(t, { clearOctets: 8192 });
  fail(made, 'clear', { code: 'ENOSPC' });
  for (const value of ['a', 'b', 'c']) await append(made, value);
  assert.equal((await made.segments()).length, 1);
  const other = await bench(t, { clearOctets: 8192 });
  fail(other, 'clear', { code: 'EIO' });
  for (const value of ['a', 'b', 'c']) await append(other, value);
  assert.equal((await other.segments()).length, 2);
  assert.deepEqual(await readAll(await other.reopen()), ['a', 'b', 'c']);
});
