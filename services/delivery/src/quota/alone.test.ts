import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWorld, every, START_MS, toMx, type World } from '../testing/world.ts';
import { createReceiver } from './fixtures/receiver.ts';

/* One process: the limits are kept without any wire. */

const LIMITS = [{ name: 'big', hosts: ['big.test'], connections: 2, messages: 10 }];

/** Its mail for these domains falls under the limit. */
function limit(world: World, ...domains: readonly string[]): void {
  for (const domain of domains)
    world.remote.resolutions.set(domain, async () => ({
      is: 'plan',
      plan: { site: domain, title: domain, validUntilMs: START_MS + 86_400_000, limits: ['big'] },
    }));
}

const mails = (count: number, domain: string, name = 'Q') =>
  Array.from({ length: count }, (_, at) => ({ queueId: `${name}${at}`, to: [toMx(`u${at}@${domain}`)] }));

test('connections and messages per second of a limited site stay below its limit, and most of it is used', async () => {
  const world = createWorld({ limits: LIMITS });
  const { host, peak, times } = createReceiver({ clock: world.clock });
  limit(world, 'big.test');
  world.remote.hosts.set('big.test', host);
  await world.start();
  await world.enqueueAll(mails(100, 'big.test'));
  await world.clock.pass(13_000);
  assert.equal(times.length, 100);
  assert.deepEqual(peak, { connections: 2, messages: 10 });
  assert.equal(world.results().filter((line) => line.endsWith('delivered')).length, 100);
  assert.equal(await world.metric('angarium_delivery_quota_refused_total'), 0);
  await world.stop();
});

test('a limit that is set holds from then on, over a restart, and until it is reset', async () => {
  const world = createWorld({ limits: LIMITS });
  const receiver = createReceiver({ clock: world.clock });
  limit(world, 'big.test');
  world.remote.hosts.set('big.test', receiver.host);
  await world.start();
  await world.enqueueAll(mails(400, 'big.test'));
  const counted = async (ms: number): Promise<number> => {
    const before = receiver.times.length;
    await world.clock.pass(ms);
    return receiver.times.length - before;
  };
  assert.ok((await counted(5_000)) >= 30);
  await world.delivery.queue.setLimit({ name: 'big', values: { connections: 1, messages: 2, perMs: 1000 }, reason: 'they asked' });
  await world.clock.pass(2_000);
  Object.assign(receiver.peak, { connections: 0, messages: 0 });
  const slow = await counted(10_000);
  assert.ok(slow >= 15 && slow <= 21, `${slow}`);
  assert.equal(receiver.peak.connections, 1);
  const [status] = (await world.delivery.queue.limits()).limits;
  assert.deepEqual([status?.configured?.messages, status?.ordered?.messages, status?.reason], [10, 2, 'they asked']);
  await world.kill();
  await world.start();
  await world.clock.pass(5_000);
  const restarted = await counted(10_000);
  assert.ok(restarted >= 15 && restarted <= 21, `${restarted}`);
  assert.deepEqual(await world.delivery.queue.resetLimit({ name: 'big' }), { wasSet: true });
  await world.clock.pass(2_000);
  assert.ok((await counted(5_000)) >= 30);
  assert.deepEqual(await world.delivery.queue.resetLimit({ name: 'big' }), { wasSet: false });
  await world.stop();
});

test('attempts that wait for leave to send give up connections that a lowered limit does not allow', async () => {
  const world = createWorld({ limits: LIMITS });
  const { host } = createReceiver({ clock: world.clock });
  limit(world, 'big.test');
  const connected = Promise.withResolvers<void>();
  world.remote.hosts.set('big.test', async (job) => {
    const slot = await job.allowance?.connection();
    await connected.promise;
    const permit = await job.allowance?.message();
    if (permit !== undefined) await new Promise<void>((resolve) => void world.clock.after(30_000, resolve));
    slot?.free();
    return every(job, { result: 'deferred', ownFault: true }, { spent: false, noRoom: true });
  });
  await world.start();
  await world.enqueueAll(mails(2, 'big.test'));
  await world.clock.pass(3000);
  const open = () => world.metric('angarium_delivery_quota_connections_open');
  assert.equal(await open(), 2);
  await world.delivery.queue.setLimit({ name: 'big', values: { connections: 1, messages: 1, perMs: 60_000 }, reason: '' });
  await world.clock.pass(1000);
  world.remote.hosts.set('big.test', host);
  connected.resolve();
  await world.clock.pass(1000);
  assert.ok((await open()) <= 1, `${await open()} open`);
  await world.delivery.queue.resetLimit({ name: 'big' });
  await world.clock.pass(70_000);
  assert.deepEqual(world.results().toSorted(), ['u0@big.test delivered', 'u1@big.test delivered']);
  assert.equal(await world.metric('angarium_delivery_own_faults_total'), 0);
  await world.stop();
});

test('an order about a limit that cannot be kept is refused, and says why', async () => {
  const world = createWorld({ limits: LIMITS });
  await world.start();
  const { queue } = world.delivery;
  const set = (name: string, values: { connections?: number; messages?: number; perMs: number }) =>
    queue.setLimit({ name, values: { connections: undefined, messages: undefined, ...values }, reason: '' });
  await assert.rejects(set('small', { connections: 1, perMs: 1000 }), /delivery.limits names no small; it names big/);
  await assert.rejects(set('big', { perMs: 1000 }), /connections, messages or both/);
  await assert.rejects(set('big', { connections: 0, perMs: 1000 }), /suspend the site instead/);
  await assert.rejects(set('big', { messages: 1, perMs: 0 }), /window of 0 ms/);
  await assert.rejects(queue.resetLimit({ name: 'small' }), /names no small/);
  await world.stop();
});

test('sites of one limit share it, each gets its turn, and mail for others does not wait', async () => {
  const world = createWorld({ limits: LIMITS });
  const { host, peak } = createReceiver({ clock: world.clock });
  const order: string[] = [];
  limit(world, 'a.big.test', 'b.big.test', 'c.big.test');
  for (const site of ['a.big.test', 'b.big.test', 'c.big.test'])
    world.remote.hosts.set(site, (job) => {
      order.push(site.slice(0, 1));
      return host(job);
    });
  await world.start();
  await world.enqueueAll(mails(40, 'a.big.test', 'A'));
  await world.clock.pass(1000);
  await world.enqueueAll([...mails(4, 'b.big.test', 'B'), ...mails(4, 'c.big.test', 'C'), ...mails(20, 'other.test', 'O')]);
  assert.equal(world.remote.jobs.filter(({ site }) => site === 'other.test').length, 20);
  await world.clock.pass(10_000);
  assert.deepEqual(peak, { connections: 2, messages: 10 });
  assert.equal(order.length, 48);
  assert.ok(order.lastIndexOf('b') < 40 && order.lastIndexOf('c') < 40, order.join(''));
  await world.stop();
});

test('without a limit no job is asked for an allowance', async () => {
  const world = createWorld({ limits: LIMITS });
  const allowances: unknown[] = [];
  world.remote.hosts.set('other.test', (job) => {
    allowances.push(job.allowance);
    return createReceiver({ clock: world.clock }).host(job);
  });
  await world.start();
  await world.enqueueAll(mails(3, 'other.test'));
  await world.clock.pass(1000);
  assert.deepEqual(allowances, [undefined, undefined, undefined]);
  assert.equal(await world.metric('angarium_delivery_quota_asked_total'), 0);
  await world.stop();
});

test('the queue tools say which limit mail waits at, and until when if that is known', async () => {
  const world = createWorld({ limits: [{ name: 'slow', hosts: ['big.test'], messages: 1, perMs: 60_000 }] });
  const { host } = createReceiver({ clock: world.clock, perMs: 60_000 });
  world.remote.resolutions.set('big.test', async () => ({
    is: 'plan',
    plan: { site: 'big.test', title: 'big.test', validUntilMs: START_MS + 86_400_000, limits: ['slow'] },
  }));
  world.remote.hosts.set('big.test', host);
  await world.start();
  await world.enqueueAll(mails(2, 'big.test'));
  // Whoever granted before may have let it send just before it ended: a window passes first.
  await world.clock.pass(65_000);
  const { recipients } = await world.delivery.queue.list({ filter: undefined, limit: 10, pageToken: '' });
  assert.equal(recipients.length, 1);
  const [waiting] = recipients;
  assert.equal(waiting?.gate, 'quota');
  assert.match(waiting?.explanation ?? '', /limit slow, 1 messages in 60000 ms/);
  const leftMs = (waiting?.gateUntilMs ?? 0) - world.clock.nowMs();
  assert.ok(leftMs > 50_000 && leftMs < 60_000, `${leftMs}`);
  await world.clock.pass(60_000);
  assert.equal((await world.delivery.queue.list({ filter: undefined, limit: 10, pageToken: '' })).recipients.length, 0);
  await world.stop();
});

test('mail that finds no room after all waits for it alone: no attempt is spent, and nothing is a fault', async () => {
  const world = createWorld({ limits: LIMITS });
  const { host } = createReceiver({ clock: world.clock });
  limit(world, 'big.test');
  let tries = 0;
  world.remote.hosts.set('big.test', (job) =>
    tries++ === 0 ? every(job, { result: 'deferred', ownFault: true }, { spent: false, noRoom: true }) : host(job),
  );
  await world.start();
  await world.enqueueAll(mails(1, 'big.test'));
  await world.clock.pass(4000);
  assert.equal(tries, 2);
  assert.deepEqual(world.results(), ['u0@big.test delivered']);
  assert.equal(await world.metric('angarium_delivery_own_faults_total'), 0);
  await world.stop();
});
