import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppendFate } from '@angarium/log';
import { encodeRecord } from '@angarium/records';
import { settle } from './testing/clock.ts';
import { createWorld, defers, every, takes, toMailbox, toMx, type World } from './testing/world.ts';
import type { Resolution } from './transport/port.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** From the next append on nothing can be written to the lane until the returned function is called. */
function holdLane(world: World, lane: number, after: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<'kept'>();
  let kept = after;
  world.faults.fate = (topic, partition) => (topic === 'mail.lane' && partition === lane && kept-- <= 0 ? promise : 'kept');
  return async () => {
    resolve('kept');
    await world.clock.pass(1000);
  };
}

test('after a kill everything that was not concluded is delivered, and nothing twice that was', async () => {
  const world = createWorld();
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')] });
  world.remote.hosts.set('slow.test', () => new Promise(() => {}));
  await world.enqueue({ queueId: 'Q2', to: [toMx('b@slow.test')] });
  world.remote.hosts.set('slow.test', takes);
  await world.kill();
  await world.start();
  assert.deepEqual(world.results(), ['a@there.test delivered', 'b@slow.test delivered']);
  assert.equal(world.remote.jobs.filter(({ queueId }) => queueId === 'Q1').length, 1);
  assert.equal(world.delivery.notReady().length, 0);
  await world.stop();
});

test('each start raises the epoch of the lane', async () => {
  const world = createWorld();
  await world.start();
  await world.kill();
  await world.start();
  const epochs = world.records('mail.lane').flatMap((kind) => (kind.$case === 'owner' ? [kind.value.epoch] : []));
  assert.deepEqual(epochs, [1, 2]);
  await world.stop();
});

test('an outcome whose append failed is written again until it is in the log, and the mail is not sent again', async () => {
  const world = createWorld();
  await world.start();
  const fates: AppendFate[] = ['kept', 'lost', 'inDoubt', 'lost'];
  world.faults.fate = (topic) => (topic === 'mail.lane' ? (fates.shift() ?? 'kept') : 'kept');
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')] });
  assert.equal(world.outcomes().length, 0);
  await world.clock.pass(MINUTE);
  assert.equal(world.remote.jobs.length, 1);
  assert.deepEqual(world.results(), ['a@there.test delivered', 'a@there.test delivered'], 'the copy that was in doubt, and its repeat');
  assert.equal(await world.metric('angarium_delivery_duplicates_total'), 0);
  await world.stop();
});

test('nothing starts while too many outcomes are not durable, and all of it when they are', async () => {
  const world = createWorld({ maxUnacknowledgedOutcomes: 3, mailboxConcurrency: 1 });
  await world.start();
  const release = holdLane(world, 0, 1);
  await world.enqueueAll(Array.from({ length: 20 }, (_, n) => ({ queueId: `Q${n}`, to: [toMailbox('a@here.test')] })));
  assert.equal(world.box.requests.length, 3);
  await release();
  assert.equal(world.results().length, 20);
  await world.stop();
});

test('nothing starts while an outcome is not durable for too long', async () => {
  const world = createWorld({ maxUnacknowledgedMs: 5000 });
  const { promise, resolve } = Promise.withResolvers<Resolution>();
  world.remote.resolutions.set('late.test', () => promise);
  await world.start();
  const release = holdLane(world, 0, 1);
  await world.enqueueAll([
    { queueId: 'Q1', to: [toMx('a@there.test')] },
    { queueId: 'Q2', to: [toMx('a@late.test')] },
  ]);
  await world.clock.pass(5001);
  resolve({ is: 'plan', plan: { site: 'late.test', title: 'late', validUntilMs: Number.MAX_SAFE_INTEGER } });
  await settle();
  assert.equal(world.remote.jobs.length, 1);
  await release();
  assert.equal(world.remote.jobs.length, 2);
  await world.stop();
});

test('what falls due while nothing may start is no reason to look again and again', async () => {
  const world = createWorld({ maxUnacknowledgedMs: 5000, retryMs: [6000] });
  world.remote.hosts.set('later.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@later.test')] });
  const release = holdLane(world, 0, 1);
  await world.enqueue({ queueId: 'Q2', to: [toMx('b@there.test')] });
  // Timers that ring at once for ever would never let this end.
  await world.clock.pass(MINUTE);
  assert.equal(world.remote.jobs.length, 2);
  world.remote.hosts.clear();
  await release();
  assert.deepEqual(world.results(), ['a@later.test deferred', 'b@there.test delivered', 'a@later.test delivered']);
  await world.stop();
});

test('a lane with a record that cannot be read halts, rings and is not trimmed; the others go on', async () => {
  const world = createWorld({ historyMs: 0 });
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')], lane: 0 });
  await world.log.append('mail.lane', 0, [Uint8Array.of(0x08, 0x01)]);
  await settle();
  await world.enqueue({ queueId: 'Q2', to: [toMx('b@there.test')], lane: 0 });
  await world.enqueue({ queueId: 'Q3', to: [toMx('c@there.test')], lane: 1 });
  await world.clock.pass(HOUR);
  assert.deepEqual(
    world.remote.jobs.map(({ queueId }) => queueId),
    ['Q1', 'Q3'],
  );
  assert.match(world.delivery.notReady().join(), /lane 0 is halted/);
  assert.ok(world.lines.some(({ level, event }) => level === 'error' && event === 'delivery.lane.halted'));
  assert.equal((await world.log.marks('mail.lane', 0)).low, 0);
  await world.stop();
});

test('a second copy of an outcome changes nothing', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')] });
  const [outcome] = world.outcomes();
  assert.ok(outcome);
  await world.log.append('mail.lane', 0, [encodeRecord({ $case: 'outcome', value: outcome })]);
  await world.clock.pass(5 * MINUTE);
  assert.equal(world.remote.jobs.length, 2);
  await world.stop();
});

test('a missing content defers without spending, rings, and goes on when it is there', async () => {
  const world = createWorld();
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')], blobKey: 'shared/Q1' });
  assert.deepEqual(world.outcomes(), []);
  assert.ok(world.lines.some(({ level, event, queueId }) => level === 'error' && event === 'delivery.attempt.put_off' && queueId === 'Q1'));
  await world.blobs.put('shared/Q1', Buffer.from('Subject: kept\r\n\r\n'));
  await world.clock.pass(5000);
  assert.deepEqual(
    world.remote.jobs.map(({ content }) => content),
    ['Subject: kept\r\n\r\n'],
  );
  await world.stop();
});

test('stop waits for what is on the wire and writes its outcome', async () => {
  const world = createWorld();
  const { promise, resolve } = Promise.withResolvers<void>();
  world.remote.hosts.set('slow.test', async (job) => {
    await promise;
    return every(job, {});
  });
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@slow.test')] });
  const stopped = world.delivery.stop();
  await world.enqueue({ queueId: 'Q2', to: [toMx('b@there.test')] });
  await world.clock.pass(1000);
  resolve();
  await settle();
  await stopped;
  assert.deepEqual(world.results(), ['a@slow.test delivered']);
  assert.deepEqual(
    world.remote.jobs.map(({ queueId }) => queueId),
    ['Q1'],
  );
});

test('stop does not wait for a host longer than drainMs', async () => {
  const world = createWorld({ drainMs: 20_000 });
  world.remote.hosts.set('slow.test', () => new Promise(() => {}));
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@slow.test')] });
  let isOver = false;
  const stopped = world.delivery.stop().then(() => {
    isOver = true;
  });
  await world.clock.pass(19_999);
  assert.equal(isOver, false);
  await world.clock.pass(10_000);
  await stopped;
});

test('the message that kills its worker is found, set aside and rings; all others are delivered', async () => {
  const world = createWorld();
  const isDeadly = (queueId: string) => queueId === 'KILLER';
  let killed = false;
  world.remote.hosts.set('there.test', (job) => {
    if (!isDeadly(job.queueId)) return every(job, {});
    killed = true;
    return new Promise(() => {});
  });
  await world.start();
  await world.enqueueAll(['Q1', 'KILLER', 'Q2'].map((queueId) => ({ queueId, to: [toMx(`${queueId}@there.test`)] })));
  let starts = 0;
  for (; killed && starts < 10; starts++) {
    killed = false;
    await world.kill();
    await world.clock.pass(1000);
    await world.start();
    await settle();
  }
  assert.ok(starts >= 3 && starts < 8, `${starts} starts`);
  assert.deepEqual(world.results().toSorted(), ['Q1@there.test delivered', 'Q2@there.test delivered']);
  assert.ok(
    world.lines.some(({ level, event, queueId }) => level === 'error' && event === 'delivery.message.set_aside' && queueId === 'KILLER'),
  );
  const [waiting] = (await world.delivery.queue.show({ queueId: 'KILLER' })).recipients;
  assert.match(waiting?.explanation ?? '', /set aside/);
  world.remote.hosts.clear();
  await world.delivery.queue.flush({ filter: undefined });
  await settle();
  assert.equal(world.results().at(-1), 'KILLER@there.test delivered');
  await world.stop();
});

test('a lane that halts while an attempt is announced ends that attempt, not the process', async () => {
  const world = createWorld();
  await world.enqueue({ queueId: 'Q0', to: [toMx('a@there.test')] });
  world.remote.hosts.set('there.test', () => new Promise(() => {}));
  for (let death = 0; death < 2; death++) {
    await world.start();
    await world.clock.pass(1000);
    await world.kill();
  }
  world.remote.jobs.length = 0;
  let appends = 0;
  // After the `Owner` record: the announcement, which is tried again when the lane has halted.
  world.faults.fate = (topic, partition) => (topic === 'mail.lane' && partition === 0 && ++appends === 2 ? 'lost' : 'kept');
  await world.start();
  await world.log.append('mail.lane', 0, [Uint8Array.of(0x08, 0x01)]);
  await settle();
  assert.match(world.delivery.notReady().join(), /lane 0 is halted/);
  await world.clock.pass(1000);
  assert.equal(appends, 4);
  await world.enqueue({ queueId: 'Q1', to: [toMailbox('b@here.test')], lane: 1 });
  assert.deepEqual(world.results(1), ['b@here.test delivered']);
  assert.deepEqual(world.remote.jobs, []);
  await world.stop();
});

test('mail.control stays short: a snapshot says what its records said', async () => {
  const world = createWorld({ housekeepingMs: MINUTE });
  await world.start();
  await world.delivery.queue.suspend({ scope: 'tenant:kept', reason: '' });
  for (let n = 0; n < 600; n++) {
    await world.delivery.queue.suspend({ scope: 'all', reason: '' });
    await world.delivery.queue.resume({ scope: 'all' });
  }
  await world.clock.pass(2 * MINUTE);
  assert.ok((await world.log.marks('mail.control', 0)).low > 1000);
  await world.kill();
  await world.start();
  assert.deepEqual(
    (await world.delivery.queue.suspensions()).suspensions.map(({ scope }) => scope),
    ['tenant:kept'],
  );
  await world.stop();
});
