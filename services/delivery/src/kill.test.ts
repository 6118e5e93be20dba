import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from './testing/clock.ts';
import { createWorld, takes, toMailbox, toMx } from './testing/world.ts';

test('killed before its first round, the count goes on from the start', async () => {
  const world = createWorld();
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMailbox('ann@here.test')] });
  const before = world.delivery.accounting();
  await world.kill();
  await world.start();
  assert.deepEqual(world.delivery.accounting(), before);
  assert.deepEqual([before?.delivered, before?.carriedOver], [1, 0]);
  await world.stop();
});

test('a slot of a site is free again when what went over it is durable: a kill repeats no more transactions than slots', async () => {
  const world = createWorld({ siteInitialConnections: 2, siteConnections: 2 });
  const [answered, written] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  world.remote.hosts.set('there.test', (job) => answered.promise.then(() => takes(job)));
  await world.start();
  for (const queueId of ['Q1', 'Q2', 'Q3', 'Q4', 'Q5']) await world.enqueue({ queueId, to: [toMx('ann@there.test')] });
  world.faults.fate = (topic) => (topic === 'mail.lane' ? written.promise.then(() => 'kept' as const) : 'kept');
  answered.resolve();
  await settle();
  assert.equal(world.remote.jobs.length, 2);
  written.resolve();
  await settle();
  assert.equal(world.remote.jobs.length, 5);
  await world.stop();
});
