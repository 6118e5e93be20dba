import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AdminAction, encodeRecord } from '@angarium/records';
import { settle } from './testing/clock.ts';
import { createWorld, dead, defers, every, toMailbox, toMx, type World } from './testing/world.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** An order about a message that somebody else wrote to the lane. */
async function order(world: World, action: AdminAction): Promise<void> {
  const value = { requestId: `order ${action}`, action, queueId: 'Q1', addresses: [] };
  await world.log.append('mail.lane', 0, [encodeRecord({ $case: 'admin', value })]);
  await settle();
}

test('an order to try now that comes during an attempt does not make a second one', async () => {
  const world = createWorld();
  const { promise, resolve } = Promise.withResolvers<void>();
  world.remote.hosts.set('there.test', (job) => promise.then(() => every(job, {})));
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')] });
  await order(world, AdminAction.FLUSH);
  resolve();
  await world.clock.pass(HOUR);
  assert.equal(world.remote.jobs.length, 1);
  assert.deepEqual(world.results(), ['a@there.test delivered']);
  await world.stop();
});

test('an order to try now takes the place of the attempt that was due, and the schedule goes on from it', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')] });
  await world.clock.pass(MINUTE);
  await order(world, AdminAction.FLUSH);
  assert.equal(world.remote.jobs.length, 2);
  await world.clock.pass(10 * MINUTE - 1);
  assert.equal(world.remote.jobs.length, 2, 'not when the first one would have been due');
  await world.clock.pass(1);
  assert.equal(world.remote.jobs.length, 3);
  await world.stop();
});

test('an order to expire ends what waits without another attempt, and tells the sender', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')] });
  await order(world, AdminAction.EXPIRE);
  assert.deepEqual(world.results(), ['a@there.test deferred', 'a@there.test expired']);
  assert.equal(world.remote.jobs.length, 1);
  assert.equal(world.dsns().length, 1);
  await world.stop();
});

test('a probe from before the resume expires nothing that was suspended then', async () => {
  const world = createWorld({ lifetimeMs: HOUR, retryMs: [100 * HOUR] });
  world.remote.hosts.set('there.test', dead);
  await world.start();
  await world.delivery.queue.suspend({ scope: 'tenant:held', reason: '' });
  await world.enqueue({ queueId: 'H', to: [toMx('h@there.test')], envelope: { tenant: 'held' } });
  for (let n = 0; n < 10; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx('a@there.test')], envelope: { tenant: 'free' } });
  const { promise, resolve } = Promise.withResolvers<void>();
  world.remote.hosts.set('there.test', (job) => promise.then(() => dead(job)));
  await world.clock.pass(2 * HOUR);
  await world.delivery.queue.resume({ scope: 'tenant:held' });
  resolve();
  await settle();
  const expired = world.results().filter((line) => line.endsWith(' expired'));
  assert.ok(!expired.includes('h@there.test expired'));
  await world.clock.pass(HOUR);
  assert.ok(world.results().includes('h@there.test expired'), 'but a later one does');
  await world.stop();
});

test('mail whose way has changed goes the new way', async () => {
  const world = createWorld();
  let site = 'old';
  world.remote.resolutions.set('there.test', async () => ({
    is: 'plan',
    plan: { site, title: site, validUntilMs: world.clock.nowMs() + 1000 },
  }));
  world.remote.hosts.set('old', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')] });
  site = 'new';
  await world.clock.pass(5 * MINUTE);
  assert.deepEqual(
    world.remote.jobs.map((job) => job.site),
    ['old', 'new'],
  );
  assert.equal(world.results().at(-1), 'a@there.test delivered');
  await world.stop();
});

test('what waited for a dead site goes the new way, all of it, at the first probe after its domain has moved', async () => {
  const world = createWorld();
  let site = 'old';
  world.remote.resolutions.set('there.test', async () => ({
    is: 'plan',
    plan: { site, title: site, validUntilMs: world.clock.nowMs() + 1000 },
  }));
  world.remote.hosts.set('old', dead);
  await world.start();
  for (let n = 0; n < 20; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx('a@there.test')] });
  site = 'new';
  await world.clock.pass(2 * MINUTE);
  assert.equal(world.results().filter((line) => line.endsWith(' delivered')).length, 20);
  await world.stop();
});

test('nothing is trimmed that the count does not know for good', async () => {
  const world = createWorld({ historyMs: 0, housekeepingMs: MINUTE });
  await world.start();
  const { put } = world.blobs;
  world.blobs.put = async (key, body) => (key.startsWith('accounting/') ? Promise.reject(new Error('disk full')) : put(key, body));
  for (let n = 0; n < 5; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMailbox('a@here.test')] });
  await world.clock.pass(HOUR);
  await world.enqueue({ queueId: 'Q9', to: [toMailbox('a@here.test')] });
  await world.clock.pass(HOUR);
  assert.equal((await world.log.marks('mail.lane', 0)).low, 0);
  world.blobs.put = put;
  await world.clock.pass(HOUR);
  assert.ok((await world.log.marks('mail.lane', 0)).low > 0);
  await world.stop();
});
