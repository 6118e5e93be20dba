import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Filter, type QueuedRecipient, Refused } from '@angarium/rpc';
import { settle } from '../testing/clock.ts';
import { createWorld, dead, defers, START_MS, takes, toMailbox, toMx, type World } from '../testing/world.ts';

const MINUTE = 60_000;
const filter = (over: Partial<Filter> = {}): Filter => ({
  queueId: '',
  domain: '',
  site: '',
  tenant: '',
  state: '',
  olderThanMs: 0,
  ...over,
});
const listed = async (world: World, over: Partial<Filter> = {}): Promise<readonly string[]> => {
  const { recipients } = await world.delivery.queue.list({ filter: filter(over), limit: 1000, pageToken: '' });
  return recipients.map(({ queueId }) => queueId);
};
const gates = (recipients: readonly QueuedRecipient[]) => recipients.map(({ address, state, gate }) => `${address} ${state} ${gate}`);

async function deferredWorld(config: Record<string, unknown> = {}): Promise<World> {
  const world = createWorld(config);
  world.remote.hosts.set('one.test', defers);
  world.remote.hosts.set('two.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@one.test')], envelope: { tenant: 'red' } });
  await world.clock.pass(1000);
  await world.enqueue({ queueId: 'Q2', to: [toMx('b@two.test'), toMx('c@one.test')], envelope: { tenant: 'blue' }, lane: 1 });
  return world;
}

test('the list can be narrowed by id, domain, site, tenant, state and age', async () => {
  const world = await deferredWorld();
  assert.deepEqual(await listed(world), ['Q1', 'Q2', 'Q2']);
  assert.deepEqual(await listed(world, { queueId: 'Q1' }), ['Q1']);
  assert.deepEqual(await listed(world, { domain: 'ONE.test' }), ['Q1', 'Q2']);
  assert.deepEqual(await listed(world, { site: 'two.test' }), ['Q2']);
  assert.deepEqual(await listed(world, { site: 'mx.two.test' }), ['Q2'], 'by its title');
  assert.deepEqual(await listed(world, { tenant: 'red' }), ['Q1']);
  assert.deepEqual(await listed(world, { state: 'deferred' }), ['Q1', 'Q2', 'Q2']);
  assert.deepEqual(await listed(world, { state: 'ready' }), []);
  assert.deepEqual(await listed(world, { olderThanMs: 1000 }), ['Q1']);
  await assert.rejects(listed(world, { state: 'lost' }), Refused);
  await world.stop();
});

test('pages hold everything once, with the total on each, also when a page ends in what is gone meanwhile', async () => {
  const world = createWorld();
  world.remote.hosts.set('one.test', defers);
  await world.start();
  const to = Array.from({ length: 5 }, (_, n) => toMx(`r${n}@one.test`));
  for (let n = 0; n < 5; n++) await world.enqueue({ queueId: `Q${n}`, to, lane: n % 2 });
  const seen: string[] = [];
  let pageToken = '';
  do {
    const page = await world.delivery.queue.list({ filter: undefined, limit: 4, pageToken });
    assert.equal(page.total, 25);
    seen.push(...page.recipients.map(({ queueId, address }) => `${queueId} ${address}`));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  assert.equal(new Set(seen).size, 25);
  assert.equal(seen.length, 25);
  const first = await world.delivery.queue.list({ filter: undefined, limit: 3, pageToken: '' });
  await world.delivery.queue.delete({ filter: filter({ queueId: first.recipients[0]?.queueId ?? '' }) });
  const next = await world.delivery.queue.list({ filter: undefined, limit: 1000, pageToken: first.nextPageToken });
  assert.ok(next.recipients.length >= 17);
  await assert.rejects(world.delivery.queue.list({ filter: undefined, limit: 1, pageToken: 'nonsense' }), Refused);
  await world.stop();
});

test('each waiting recipient says at which gate it waits and until when', async () => {
  const world = createWorld({ siteInitialConnections: 1, siteConnections: 1 });
  world.remote.hosts.set('slow.test', () => new Promise(() => {}));
  world.remote.hosts.set('later.test', defers);
  world.remote.resolutions.set('unknown.test', () => new Promise(() => {}));
  await world.start();
  await world.delivery.queue.suspend({ scope: 'domain:held.test', reason: 'because' });
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@slow.test'), toMx('a@later.test'), toMx('a@unknown.test'), toMx('a@held.test')] });
  await world.enqueue({ queueId: 'Q2', to: [toMx('b@slow.test')] });
  await world.enqueue({ queueId: 'Q3', to: [toMx('a@lost.test')], blobKey: 'shared/Q3' });
  const { recipients, messageId, found } = await world.delivery.queue.show({ queueId: 'Q1' });
  assert.equal(found, true);
  assert.equal(messageId, '<Q1@here.test>');
  assert.deepEqual(gates(recipients), [
    'a@slow.test active active',
    'a@later.test deferred due',
    'a@unknown.test ready resolve',
    'a@held.test suspended suspended',
  ]);
  const later = recipients[1];
  assert.equal(later?.gateUntilMs, START_MS + 5 * MINUTE);
  assert.equal(later?.lastReply, '451 4.2.1 come back (mx.test)');
  assert.match(recipients[3]?.explanation ?? '', /domain:held\.test is suspended/);
  assert.deepEqual(gates((await world.delivery.queue.show({ queueId: 'Q2' })).recipients), ['b@slow.test ready limit']);
  const lost = (await world.delivery.queue.show({ queueId: 'Q3' })).recipients;
  assert.deepEqual(gates(lost), ['a@lost.test deferred blob']);
  assert.match(lost[0]?.explanation ?? '', /no blob shared\/Q3/);
  await world.stop();
});

test('a dead site is the gate of what waits for it, with the instant of its next probe and its last word', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', dead);
  await world.start();
  for (let n = 0; n < 10; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx('a@there.test')] });
  const [waiting] = (await world.delivery.queue.show({ queueId: 'Q9' })).recipients;
  assert.equal(waiting?.gate, 'site');
  assert.equal(waiting?.gateUntilMs, START_MS + MINUTE);
  assert.match(waiting?.explanation ?? '', /dead.*no answer/);
  const { sites, live, deferred } = await world.delivery.queue.summary();
  assert.deepEqual([live, deferred], [10, 10]);
  assert.deepEqual(
    sites.map(({ site, state, recipients, openAtMs }) => [site, state, recipients, openAtMs]),
    [['there.test', 'dead', 10, START_MS + MINUTE]],
  );
  await world.stop();
});

test('flush tries at once what matches, and nothing else', async () => {
  const world = await deferredWorld();
  world.remote.hosts.clear();
  const before = world.remote.jobs.length;
  assert.deepEqual(await world.delivery.queue.flush({ filter: filter({ domain: 'two.test' }) }), { recipients: 1 });
  await settle();
  assert.deepEqual(
    world.remote.jobs.slice(before).map(({ to }) => to),
    [['b@two.test']],
  );
  assert.deepEqual(await world.delivery.queue.flush({ filter: undefined }), { recipients: 2 });
  await settle();
  assert.deepEqual(await listed(world), []);
  await world.stop();
});

test('flush opens a dead site', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', dead);
  await world.start();
  for (let n = 0; n < 10; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx('a@there.test')] });
  world.remote.hosts.set('there.test', takes);
  await world.delivery.queue.flush({ filter: filter({ site: 'there.test' }) });
  await settle();
  assert.deepEqual(await listed(world), []);
  await world.stop();
});

test('delete is answered when it is done, drops without a bounce, and counts as discarded', async () => {
  const world = await deferredWorld();
  assert.deepEqual(await world.delivery.queue.delete({ filter: filter({ domain: 'one.test' }) }), { recipients: 2 });
  assert.deepEqual(await listed(world), ['Q2']);
  await world.clock.pass(10 * MINUTE);
  assert.ok(world.remote.jobs.slice(3).every(({ to }) => to.join() === 'b@two.test'));
  assert.deepEqual(world.dsns(), []);
  assert.equal(world.delivery.accounting()?.discarded, 2);
  await world.stop();
});

test('a delete during a transaction withholds its final dot', async () => {
  const world = createWorld();
  const { promise, resolve } = Promise.withResolvers<void>();
  let mayFinish: boolean | undefined;
  world.remote.hosts.set('slow.test', async (job) => {
    await promise;
    mayFinish = job.mayFinish();
    return { recipients: [], inDoubt: false, spent: false, site: 'reached' };
  });
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@slow.test')] });
  assert.deepEqual(await world.delivery.queue.delete({ filter: filter({ queueId: 'Q1' }) }), { recipients: 1 });
  resolve();
  await world.clock.pass(10 * MINUTE);
  assert.equal(mayFinish, false);
  assert.equal(world.remote.jobs.length, 1);
  await world.stop();
});

for (const scope of ['all', 'domain:here.test', 'tenant:tenant', 'site:mailbox']) {
  test(`nothing of ${scope} goes while it is suspended, also after a restart, and all of it after the resume`, async () => {
    const world = createWorld({ lifetimeMs: MINUTE });
    await world.start();
    await world.delivery.queue.suspend({ scope, reason: 'test' });
    await world.enqueue({ queueId: 'Q1', to: [toMailbox('a@here.test')] });
    await world.clock.pass(5 * MINUTE);
    await world.kill();
    await world.start();
    await world.enqueue({ queueId: 'Q2', to: [toMailbox('a@here.test')] });
    await world.clock.pass(5 * MINUTE);
    assert.deepEqual(world.box.requests, []);
    assert.deepEqual(world.outcomes(), [], 'a suspension expires nothing');
    const { suspensions } = await world.delivery.queue.suspensions();
    assert.deepEqual(suspensions, [{ scope, reason: 'test', sinceMs: START_MS }]);
    assert.deepEqual(
      (await world.delivery.queue.show({ queueId: 'Q1' })).recipients.map(({ gate }) => gate),
      ['suspended'],
    );
    assert.deepEqual(await world.delivery.queue.resume({ scope }), { wasSuspended: true });
    await settle();
    assert.equal(world.box.requests.length, 2);
    assert.deepEqual(await world.delivery.queue.resume({ scope }), { wasSuspended: false });
    await world.stop();
  });
}

test('what is no scope is refused', async () => {
  const world = createWorld();
  await world.start();
  for (const scope of ['', 'domain:', 'everything', 'host:a'])
    await assert.rejects(world.delivery.queue.suspend({ scope, reason: '' }), Refused);
  await world.stop();
});
