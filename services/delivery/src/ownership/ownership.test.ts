import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWorld, defers, takes, toMailbox, toMx } from '../testing/world.ts';

const MINUTE = 60_000;

test('a folder from before there were leases is owned above the epochs that its lanes have seen', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test')] });
  for (let deaths = 0; deaths < 2; deaths++) {
    await world.kill();
    world.log.storage.partitions.delete('mail.lease/0');
    await world.start();
  }
  assert.deepEqual(world.delivery.notReady(), []);
  const epochs = world.records('mail.lane').flatMap((kind) => (kind.$case === 'owner' ? [kind.value.epoch] : []));
  assert.deepEqual(epochs, [1, 2, 3]);
  world.remote.hosts.set('there.test', takes);
  await world.clock.pass(10 * MINUTE);
  assert.deepEqual(world.results().at(-1), 'ann@there.test delivered');
  await world.stop();
});

test('an idle machine writes nothing, and its leases need no renewal', async () => {
  const world = createWorld({ housekeepingMs: MINUTE });
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMailbox('ann@here.test')] });
  await world.clock.pass(30 * MINUTE);
  const written = world.records('mail.lease').length;
  await world.clock.pass(600 * MINUTE);
  await world.enqueue({ queueId: 'Q2', to: [toMailbox('ann@here.test')] });
  assert.deepEqual(world.results(), ['ann@here.test delivered', 'ann@here.test delivered']);
  assert.equal(world.records('mail.lease').length, written);
  await world.stop();
});

test('a stop releases the lanes, and the next start takes them for no death', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test')] });
  await world.stop();
  assert.equal(world.records('mail.lease').at(-1)?.$case, 'leaseRelease');
  await world.kill();
  await world.start();
  const deaths = world.records('mail.lane').flatMap((kind) => (kind.$case === 'owner' ? [kind.value.recentDeaths] : []));
  assert.deepEqual(deaths, [0, 0]);
  await world.stop();
});

test('a lease log that cannot be written holds up a start, and is tried again', async () => {
  const world = createWorld();
  let isDown = true;
  world.faults.fate = (topic) => (topic === 'mail.lease' && isDown ? 'lost' : 'kept');
  await world.start();
  assert.match(world.delivery.notReady().join(), /mail\.lease is not read/);
  isDown = false;
  await world.clock.pass(10_000);
  assert.deepEqual(world.delivery.notReady(), []);
  await world.enqueue({ queueId: 'Q1', to: [toMailbox('ann@here.test')] });
  assert.deepEqual(world.results(), ['ann@here.test delivered']);
  await world.stop();
});
