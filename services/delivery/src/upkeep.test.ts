import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Accepted, encodeRecord } from '@angarium/records';
import { settle } from './testing/clock.ts';
import { createWorld, defers, envelopeOf, takes, toMailbox, toMx, type World } from './testing/world.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const low = async (world: World, lane = 0) => (await world.log.marks('mail.lane', lane)).low;

async function accept(world: World, queueId: string, to: readonly string[], blobKey?: string): Promise<void> {
  const content = Buffer.from('Subject: x\r\n\r\n');
  const place = blobKey === undefined ? ({ $case: 'inline', value: content } as const) : ({ $case: 'blobKey', value: blobKey } as const);
  const value: Accepted = {
    envelope: envelopeOf(queueId),
    recipients: to.map((forwardPath) => ({ forwardPath, notify: 0, orcpt: '' })),
    content: { place, octets: content.length, laneBlob: false },
    laneTableVersion: 1,
  };
  await world.log.append('mail.in', 0, [encodeRecord({ $case: 'accepted', value })]);
  await settle();
}

async function keys(world: World, prefix = ''): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { key } of world.blobs.list(prefix)) found.push(key);
  return found.filter((key) => !key.startsWith('accounting/')).toSorted();
}

test('what is finished is trimmed when the history is over, and never past mail that waits', async () => {
  const world = createWorld({ historyMs: 2 * HOUR, lifetimeMs: 30 * DAY });
  await world.start();
  for (let n = 0; n < 10; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMailbox('a@here.test')] });
  await world.clock.pass(HOUR);
  assert.equal(await low(world), 0);
  world.remote.hosts.set('there.test', defers);
  await world.enqueue({ queueId: 'W', to: [toMx('a@there.test')] });
  const at = world.records('mail.lane').findIndex((kind) => kind.$case === 'enqueued' && kind.value.envelope?.queueId === 'W');
  // A later record lets the fold's own clock move on.
  await world.clock.pass(5 * HOUR);
  const trimmed = await low(world);
  assert.ok(trimmed > 0 && trimmed <= at, `${trimmed} of ${at}`);
  await world.clock.pass(5 * DAY);
  assert.ok((await low(world)) <= at);
  await world.kill();
  await world.start();
  assert.equal((await world.delivery.queue.show({ queueId: 'W' })).found, true);
  await world.stop();
});

const SHORT_OF_ROOM = {
  'the disk is nearly full': (space: { free: number; held: number }) => {
    space.free = 0.19;
  },
  'it holds too much of the shared file': (space: { free: number; held: number }) => {
    space.held = 1001;
  },
};
for (const [when, happens] of Object.entries(SHORT_OF_ROOM)) {
  test(`history is given back when ${when}`, async () => {
    const world = createWorld({ historyMs: 30 * DAY, historyMaxOctets: 1000 });
    await world.start();
    for (let n = 0; n < 5; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMailbox('a@here.test')] });
    await world.clock.pass(2 * HOUR);
    await world.enqueue({ queueId: 'Q9', to: [toMailbox('a@here.test')] });
    await world.clock.pass(HOUR);
    assert.equal(await low(world), 0);
    happens(world.space);
    await world.clock.pass(2 * HOUR);
    assert.ok((await low(world)) > 0);
    await world.stop();
  });
}

test('old mail is rewritten at the tail with its body in a blob of the lane, so that the low mark can pass it', async () => {
  const world = createWorld({ historyMs: MINUTE, moveAfterRecords: 20, lifetimeMs: 30 * DAY });
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'W', to: [toMx('a@there.test'), toMx('b@there.test')], content: 'Subject: kept\r\n\r\nbody' });
  for (let n = 0; n < 60; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMailbox('a@here.test')] });
  await world.clock.pass(2 * HOUR);
  await world.enqueue({ queueId: 'Z', to: [toMailbox('a@here.test')] });
  await world.clock.pass(3 * HOUR);
  assert.deepEqual(await keys(world), ['lane/0/W']);
  assert.ok((await low(world)) > 50);
  await world.kill();
  world.remote.hosts.set('there.test', takes);
  await world.start();
  await world.clock.pass(5 * HOUR);
  const last = world.remote.jobs.at(-1);
  assert.deepEqual([last?.to, last?.content], [['a@there.test', 'b@there.test'], 'Subject: kept\r\n\r\nbody']);
  assert.deepEqual(await keys(world), [], 'the blob goes when the last final fact is read back');
  await world.stop();
});

test('a quiet lane that keeps much of a shared file gives it back by rewriting', async () => {
  const world = createWorld({ historyMs: MINUTE, moveAfterHeldOctets: 1000, lifetimeMs: 30 * DAY });
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'W', to: [toMx('a@there.test')] });
  await world.clock.pass(3 * HOUR);
  assert.deepEqual(await keys(world), []);
  world.space.held = 1001;
  await world.clock.pass(3 * HOUR);
  assert.deepEqual(await keys(world), ['lane/0/W']);
  await world.stop();
});

test('a lane that got quiet gives back what it finished, though no record comes that would show the time', async () => {
  const world = createWorld({ historyMs: MINUTE, moveAfterHeldOctets: 1000 });
  await world.start();
  for (let n = 0; n < 5; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMailbox('a@here.test')] });
  world.space.held = 1001;
  await world.clock.pass(4 * HOUR);
  assert.ok((await low(world)) >= 5);
  await world.stop();
});

test('mail whose body cannot be stored is not rewritten and not trimmed, and rings', async () => {
  const world = createWorld({ historyMs: MINUTE, moveAfterHeldOctets: 0, lifetimeMs: 30 * DAY });
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'W', to: [toMx('a@there.test')] });
  world.space.held = 1;
  const { put } = world.blobs;
  world.blobs.put = async (key, body) => (key.startsWith('lane/') ? Promise.reject(new Error('disk full')) : put(key, body));
  await world.clock.pass(3 * HOUR);
  assert.ok(!world.records('mail.lane').some(({ $case }) => $case === 'moved'));
  assert.ok(
    world.lines.some(({ level, event, queueId }) => level === 'error' && event === 'delivery.message.not_moved' && queueId === 'W'),
  );
  await world.stop();
});

test('shared contents are deleted by age, but never one that waiting, unrouted or dead mail names', async () => {
  const world = createWorld({ sharedBlobMs: DAY, lifetimeMs: 30 * DAY, historyMs: 30 * DAY });
  world.remote.hosts.set('there.test', defers);
  await world.start();
  for (const key of ['shared/old', 'shared/live', 'mail/others']) await world.blobs.put(key, Buffer.from('x'));
  await world.enqueue({ queueId: 'W', to: [toMx('a@there.test')], blobKey: 'shared/live' });
  const { put } = world.blobs;
  world.blobs.put = async (key, body) => (key.startsWith('lane/') ? Promise.reject(new Error('disk full')) : put(key, body));
  await world.clock.pass(11 * HOUR);
  await accept(world, 'U', ['a@here.test'], 'shared/unrouted');
  await world.blobs.put('shared/unrouted', Buffer.from('x'));
  await world.clock.pass(14 * HOUR);
  assert.deepEqual(await keys(world), ['mail/others', 'shared/live', 'shared/unrouted']);
  world.blobs.put = put;
  await world.clock.pass(10 * DAY);
  assert.deepEqual(await keys(world), ['lane/0/W', 'mail/others', 'shared/unrouted'], 'the waiting mail has its own copy now');
  await world.stop();
});

test('the count is right, survives a restart, and tells what is lost', async () => {
  const world = createWorld({ housekeepingMs: MINUTE });
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await accept(world, 'Q1', ['a@here.test', 'b@there.test']);
  assert.deepEqual(pick(world), { accepted: 2, delivered: 0, queued: 2, difference: 0 });
  const src = { topic: 'mail.in', partition: 0, offset: 0, incarnation: world.log.incarnation };
  await world.enqueue({ queueId: 'Q1', to: [toMailbox('a@here.test'), toMx('b@there.test')], src });
  await world.log.consume({
    group: 'routing',
    topics: ['mail.in'],
    maxBatchOctets: 1e6,
    signal: AbortSignal.timeout(50),
    onBatch: async ({ records }) => (records.at(-1)?.offset ?? 0) + 1,
  });
  await world.clock.pass(2 * MINUTE);
  assert.deepEqual(pick(world), { accepted: 2, delivered: 1, queued: 1, difference: 0 });
  await world.kill();
  await world.start();
  await world.clock.pass(2 * MINUTE);
  assert.deepEqual(pick(world), { accepted: 2, delivered: 1, queued: 1, difference: 0 });
  assert.equal(await world.metric('angarium_accounting_queued_recipients'), 1);
  assert.equal(await world.metric('angarium_accounting_difference_recipients'), 0);
  // Routing said that this one is in its lane, and it is not.
  await accept(world, 'Q2', ['c@here.test']);
  await world.log.consume({
    group: 'routing',
    topics: ['mail.in'],
    maxBatchOctets: 1e6,
    signal: AbortSignal.timeout(50),
    onBatch: async ({ records }) => (records.at(-1)?.offset ?? 0) + 1,
  });
  await world.clock.pass(5 * MINUTE);
  assert.equal(world.delivery.accounting()?.difference, 1);
  assert.ok(world.lines.some(({ level, event }) => level === 'error' && event === 'delivery.accounting.differed'));
  await world.stop();
});

function pick(world: World) {
  const report = world.delivery.accounting();
  if (report === undefined) return undefined;
  const { accepted, delivered, queued, difference } = report;
  return { accepted, delivered, queued, difference };
}
