import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONTRACT_PARTITIONS, logContract } from '../contract.ts';
import { AppendFailed, type LogRecord } from '../port.ts';
import { type AppendFate, createMemoryStorage, openMemoryLog } from './memory-log.ts';

const text = (value: string): Uint8Array => Buffer.from(value);
const texts = (records: readonly LogRecord[]): string[] => records.map(({ value }) => Buffer.from(value).toString());

logContract('memory', async () => {
  const storage = createMemoryStorage();
  let ms = 1000;
  let fate: AppendFate = 'kept';
  const nextFate = () => {
    const taken = fate;
    fate = 'kept';
    return taken;
  };
  // A clock that goes back: appendedAtMs must not.
  const open = () => openMemoryLog({ partitions: CONTRACT_PARTITIONS, nowMs: () => ms--, storage, fate: nextFate });
  let log = open();
  return {
    log,
    reopen: async () => {
      await log.close();
      log = open();
      return log;
    },
    failNextAppend: () => {
      fate = 'lost';
    },
    close: () => log.close(),
  };
});

const open = (fate?: () => AppendFate | Promise<AppendFate>, storage = createMemoryStorage()) =>
  openMemoryLog({ partitions: { 'mail.in': 2 }, nowMs: () => 0, storage, ...(fate ? { fate } : {}) });

test('a lost append fails and is not there', async () => {
  const log = open(() => 'lost');
  await assert.rejects(log.append('mail.in', 0, [text('a')]), (error: unknown) => error instanceof AppendFailed && !error.inDoubt);
  assert.deepEqual(await log.marks('mail.in', 0), { low: 0, high: 0 });
});

test('an append in doubt fails and is there', async () => {
  const log = open(() => 'inDoubt');
  await assert.rejects(log.append('mail.in', 0, [text('a')]), (error: unknown) => error instanceof AppendFailed && error.inDoubt);
  assert.deepEqual(texts(await log.read('mail.in', 0, 0, 100)), ['a']);
});

test('an append twice lands again, once, at the tail of its partition', async () => {
  const fates: AppendFate[] = ['twice', 'kept'];
  const log = open(() => fates.shift() ?? 'kept');
  await log.append('mail.in', 1, [text('a'), text('b')]);
  await log.append('mail.in', 1, [text('c')]);
  log.landCopies();
  log.landCopies();
  assert.deepEqual(texts(await log.read('mail.in', 1, 0, 100)), ['a', 'b', 'c', 'a', 'b']);
});

test('a late copy wakes a follower, also after the crash of who wrote it', async () => {
  const storage = createMemoryStorage();
  const log = open(() => 'twice', storage);
  await log.append('mail.in', 0, [text('a')]);
  log.crash();
  const next = open(undefined, storage);
  const follower = next.follow('mail.in', 0, 1, new AbortController().signal)[Symbol.asyncIterator]();
  const waiting = follower.next();
  next.landCopies();
  assert.deepEqual(texts((await waiting).value ?? []), ['a']);
});

test('after a crash nothing more is written, and what was acknowledged is in the storage', async () => {
  const storage = createMemoryStorage();
  const held = Promise.withResolvers<AppendFate>();
  let isFirst = true;
  const fate = () => {
    const decided = isFirst ? ('kept' as const) : held.promise;
    isFirst = false;
    return decided;
  };
  const log = open(fate, storage);
  await log.append('mail.in', 0, [text('kept')]);
  const pending = log.append('mail.in', 0, [text('lost')]);
  log.crash();
  held.resolve('kept');
  await assert.rejects(pending, { reason: 'closed' });
  await assert.rejects(log.append('mail.in', 0, [text('late')]), { reason: 'closed' });
  assert.deepEqual(texts(await open(undefined, storage).read('mail.in', 0, 0, 100)), ['kept']);
});

test('a slow append is not overtaken in its partition, and holds up no other', async () => {
  const held = Promise.withResolvers<AppendFate>();
  const fates = [held.promise, 'kept' as const, 'kept' as const];
  const log = open(() => fates.shift() ?? 'kept');
  const slow = log.append('mail.in', 0, [text('slow')]);
  const quick = log.append('mail.in', 0, [text('quick')]);
  assert.equal(await log.append('mail.in', 1, [text('other')]), 0);
  held.resolve('kept');
  assert.deepEqual(await Promise.all([slow, quick]), [0, 1]);
});

test('the incarnation is the storage’s', () => {
  const storage = createMemoryStorage();
  storage.incarnation = 7;
  assert.equal(open(undefined, storage).incarnation, 7);
});
