import assert from 'node:assert/strict';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMemoryBlobs } from '@angarium/blob';
import { systemClock } from '@angarium/runtime';
import { HeldAlready, heldByBackups, holdDeletions } from './deletion-hold.ts';

const MINUTE_MS = 60_000;

test('contents are deleted only while no backup holds them; a hold of a backup that died ends after a minute', async (t) => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'angarium-hold-'));
  t.after(() => rm(dataFolder, { recursive: true, force: true }));
  const store = createMemoryBlobs();
  const blobs = heldByBackups(store, { dataFolder, clock: systemClock });
  const isGoneAfterDelete = async () => {
    await blobs.put('shared/a', Buffer.from('x'));
    await blobs.delete('shared/a');
    return (await store.get('shared/a')) === undefined;
  };
  assert.ok(await isGoneAfterDelete());
  const hold = await holdDeletions(dataFolder);
  assert.ok(!(await isGoneAfterDelete()));
  await assert.rejects(holdDeletions(dataFolder), HeldAlready);
  hold.check();
  await hold.release();
  assert.ok(await isGoneAfterDelete());

  const dead = await holdDeletions(dataFolder);
  const then = new Date(Date.now() - MINUTE_MS);
  await utimes(join(dataFolder, 'lock-backup'), then, then);
  assert.ok(await isGoneAfterDelete());
  const next = await holdDeletions(dataFolder);
  assert.ok(!(await isGoneAfterDelete()));
  await next.release();
  await dead.release();
});
