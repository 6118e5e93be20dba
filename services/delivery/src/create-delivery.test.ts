import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Result } from '@angarium/records';
import { DeliverResult } from '@angarium/rpc';
import { settle } from './testing/clock.ts';
import { answer, createWorld, dead, defers, every, START_MS, takes, toMailbox, toMx } from './testing/world.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test('mail in a lane goes to the mailbox in one request and ends in an outcome', async () => {
  const world = createWorld();
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMailbox('ann@here.test'), toMailbox('ben@here.test')] });
  const asked = world.box.requests.map(({ queueId, recipients }) => [queueId, ...recipients.map(({ account }) => account)]);
  assert.deepEqual(asked, [['Q1', 'ann@here.test', 'ben@here.test']]);
  assert.deepEqual(world.results(), ['ann@here.test delivered', 'ben@here.test delivered']);
  assert.equal(world.outcomes().length, 1);
  await world.stop();
});

test('mail for another host goes through its transport', async () => {
  const world = createWorld();
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test')] });
  assert.deepEqual(world.remote.jobs, [
    { site: 'there.test', queueId: 'Q1', to: ['ann@there.test'], content: 'Subject: Q1\r\n\r\nbody\r\n' },
  ]);
  assert.deepEqual(world.results(), ['ann@there.test delivered']);
  assert.equal(world.lines.filter(({ event, queueId }) => event === 'delivery.recipient.delivered' && queueId === 'Q1').length, 1);
  await world.stop();
});

test('recipients of domains that share a site go in one transaction', async () => {
  const world = createWorld();
  for (const domain of ['a.test', 'b.test'])
    world.remote.resolutions.set(domain, async () => ({
      is: 'plan',
      plan: { site: 'big', title: 'mx.big', validUntilMs: START_MS + DAY },
    }));
  await world.start();
  // The first mail teaches where both domains go.
  await world.enqueue({ queueId: 'Q0', to: [toMx('x@a.test'), toMx('x@b.test')] });
  await world.enqueue({ queueId: 'Q1', to: [toMx('x@a.test'), toMx('y@b.test')] });
  assert.deepEqual(world.remote.jobs.at(-1)?.to.toSorted(), ['x@a.test', 'y@b.test']);
  assert.equal(world.remote.jobs.filter(({ queueId }) => queueId === 'Q1').length, 1);
  await world.stop();
});

test('many recipients are cut into transactions, and all of them are delivered', async () => {
  const world = createWorld({ maxRecipientsPerTransaction: 10 });
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: Array.from({ length: 95 }, (_, n) => toMx(`r${n}@there.test`)) });
  assert.equal(world.remote.jobs.length, 10);
  assert.equal(new Set(world.remote.jobs.flatMap(({ to }) => to)).size, 95);
  assert.equal(world.results().filter((line) => line.endsWith(' delivered')).length, 95);
  await world.stop();
});

test('a deferred recipient is tried again by the schedule, until it is delivered', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test')] });
  const [first] = world.outcomes();
  assert.deepEqual([first?.recipients[0]?.attempts, (first?.recipients[0]?.dueAtMs ?? 0) - START_MS], [1, 5 * MINUTE]);
  await world.clock.pass(5 * MINUTE - 1);
  assert.equal(world.remote.jobs.length, 1);
  await world.clock.pass(1);
  assert.equal(world.remote.jobs.length, 2);
  world.remote.hosts.set('there.test', takes);
  await world.clock.pass(10 * MINUTE);
  assert.deepEqual(world.results(), ['ann@there.test deferred', 'ann@there.test deferred', 'ann@there.test delivered']);
  await world.clock.pass(DAY);
  assert.equal(world.remote.jobs.length, 3);
  await world.stop();
});

test('results differ per recipient', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', (job) => ({
    ...every(job, {}),
    recipients: [
      { address: 'a@there.test', result: 'delivered', reply: answer(250, '2.0.0'), relayed: false },
      { address: 'b@there.test', result: 'bounced', reply: answer(550, '5.1.1'), relayed: false },
      { address: 'c@there.test', result: 'deferred', reply: answer(450, '4.2.0'), relayed: false },
    ],
  }));
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: ['a', 'b', 'c'].map((name) => toMx(`${name}@there.test`)) });
  assert.deepEqual(world.results().slice(0, 3), ['a@there.test delivered', 'b@there.test bounced', 'c@there.test deferred']);
  assert.equal(world.outcomes().length, 1, 'one record per attempt');
  await world.stop();
});

test('mail that fails beyond its lifetime expires by an attempt, never without one', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test')] });
  await world.clock.pass(5 * DAY - 1);
  assert.equal(world.results().at(-1), 'ann@there.test deferred');
  const tries = world.remote.jobs.length;
  await world.clock.pass(1);
  assert.equal(world.remote.jobs.length, tries + 1);
  assert.equal(world.results().at(-1), 'ann@there.test expired');
  await world.stop();
});

test('an outage of our own expires nothing: what is older than its lifetime is tried first', async () => {
  const world = createWorld();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test')] });
  await world.clock.pass(9 * DAY);
  await world.start();
  assert.deepEqual(world.results(), ['ann@there.test delivered']);
  await world.stop();
});

test('mail with the null reverse-path has its own lifetime, and nobody is told of it', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test')], envelope: { reversePath: '' } });
  await world.clock.pass(DAY);
  assert.equal(world.results().at(-1), 'ann@there.test expired');
  assert.deepEqual(world.dsns(), []);
  await world.stop();
});

test('trouble of our own spends no attempt, is recorded nowhere and is tried again soon', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', (job) => every(job, { result: 'deferred' }, { spent: false }));
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test')] });
  await world.clock.pass(5000);
  assert.equal(world.remote.jobs.length, 2);
  assert.deepEqual(world.outcomes(), []);
  assert.equal(await world.metric('angarium_delivery_own_faults_total'), 2);
  assert.equal(
    world.lines.filter(({ level, event, queueId }) => level === 'warn' && event.endsWith('put_off') && queueId === 'Q1').length,
    2,
  );
  world.remote.hosts.set('there.test', takes);
  await world.clock.pass(15_000);
  assert.deepEqual(world.results(), ['ann@there.test delivered']);
  await world.stop();
});

test('a transport that rejects, which is a bug, puts off and loses nothing', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', () => {
    throw new Error('bug');
  });
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test')] });
  assert.deepEqual(world.outcomes(), []);
  world.remote.hosts.delete('there.test');
  await world.clock.pass(5000);
  assert.deepEqual(world.results(), ['ann@there.test delivered']);
  await world.stop();
});

test('a next hop that cannot be looked up by our fault waits; one that does not exist bounces', async () => {
  const world = createWorld();
  const reply = answer(0, '4.4.3', 'no resolver');
  world.remote.resolutions.set('later.test', async () => ({ is: 'deferred', reply, ownFault: true }));
  world.remote.resolutions.set('never.test', async () => ({ is: 'bounced', reply: answer(556, '5.1.10') }));
  world.remote.resolutions.set('broken.test', async () => ({ is: 'deferred', reply, ownFault: false }));
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: ['later', 'never', 'broken'].map((name) => toMx(`a@${name}.test`)) });
  assert.deepEqual(world.results().toSorted(), ['a@broken.test deferred', 'a@never.test bounced']);
  world.remote.resolutions.clear();
  await world.clock.pass(5 * MINUTE);
  assert.deepEqual(world.results().slice(2).toSorted(), ['a@broken.test delivered', 'a@later.test delivered']);
  await world.stop();
});

test('one look-up serves all mail for a next hop', async () => {
  const world = createWorld();
  const { promise, resolve } = Promise.withResolvers<void>();
  world.remote.resolutions.set('slow.test', async () => {
    await promise;
    return { is: 'plan', plan: { site: 'slow', title: 'slow', validUntilMs: START_MS + DAY } };
  });
  await world.start();
  for (let n = 0; n < 20; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx('a@slow.test')] });
  resolve();
  await settle();
  assert.equal(world.remote.resolved, 1);
  assert.equal(world.remote.jobs.length, 20);
  await world.stop();
});

test('a dead site is probed by its clock, nothing is rewritten, and all of it drains when a probe gets through', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', dead);
  await world.start();
  for (let n = 0; n < 50; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx('a@there.test')] });
  const failed = world.outcomes().length;
  assert.ok(failed <= 6, `${failed} tries of 50 until it was known to be dead`);
  await world.clock.pass(MINUTE * 1.2);
  assert.equal(world.outcomes().length, failed + 1, 'one probe');
  world.remote.hosts.set('there.test', takes);
  await world.clock.pass(2 * MINUTE * 1.2);
  assert.equal(world.results().filter((line) => line.endsWith(' delivered')).length, 50);
  await world.stop();
});

test('a failed probe expires what waits longest, though it was never tried itself', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', dead);
  await world.start();
  for (let n = 0; n < 20; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx(`a${n}@there.test`)] });
  await world.clock.pass(5 * DAY - 1);
  assert.equal(world.results().filter((line) => line.endsWith(' expired')).length, 0);
  await world.clock.pass(HOUR);
  assert.equal(world.results().filter((line) => line.endsWith(' expired')).length, 20);
  await world.stop();
});

test('while the mailbox service is down its mail waits without spending attempts and goes on when it is back', async () => {
  const world = createWorld({ lifetimeMs: HOUR });
  world.box.isDown = true;
  await world.start();
  for (let n = 0; n < 80; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMailbox('ann@here.test')] });
  await world.clock.pass(2 * HOUR);
  assert.deepEqual(world.outcomes(), []);
  world.box.isDown = false;
  await world.clock.pass(6 * MINUTE);
  assert.equal(world.results().length, 80);
  await world.stop();
});

test('a smarthost that refuses our login is probed, not asked for each message, and nothing expires', async () => {
  const world = createWorld({ lifetimeMs: HOUR });
  const refuses = { result: 'deferred', reply: answer(0, '4.7.8', 'wrong password') } as const;
  world.remote.hosts.set('there.test', (job) => every(job, refuses, { spent: false, site: 'failed' }));
  await world.start();
  for (let n = 0; n < 80; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx('ann@there.test')] });
  await world.clock.pass(2 * HOUR);
  assert.ok(world.remote.jobs.length < 20, `${world.remote.jobs.length} tries`);
  assert.deepEqual(world.outcomes(), []);
  world.remote.hosts.clear();
  await world.clock.pass(HOUR);
  assert.equal(world.results().length, 80);
  await world.stop();
});

test('answers of the mailbox service become results', async () => {
  const world = createWorld();
  const { OVER_QUOTA, NO_SUCH_ACCOUNT, TOO_BIG, STORE_FULL, UNAVAILABLE } = DeliverResult;
  for (const [name, result] of Object.entries({
    full: OVER_QUOTA,
    gone: NO_SUCH_ACCOUNT,
    big: TOO_BIG,
    store: STORE_FULL,
    away: UNAVAILABLE,
  }))
    world.box.results.set(`${name}@here.test`, result);
  await world.start();
  await world.enqueue({
    queueId: 'Q1',
    to: ['full', 'gone', 'big', 'store', 'away', 'fine'].map((name) => toMailbox(`${name}@here.test`)),
  });
  const replies = world.outcomes()[0]?.recipients.map(({ addresses, reply }) => `${addresses.join()} ${reply?.code} ${reply?.enhanced}`);
  assert.deepEqual(replies, [
    'full@here.test 452 4.2.2',
    'gone@here.test 550 5.1.1',
    'big@here.test 552 5.3.4',
    'fine@here.test 250 2.1.5',
  ]);
  world.box.results.clear();
  await world.clock.pass(5000);
  assert.deepEqual(world.results().slice(-2), ['store@here.test delivered', 'away@here.test delivered']);
  await world.stop();
});

test('a recipient that routing could not place is concluded without an attempt', async () => {
  const world = createWorld();
  await world.start();
  const verdict = { result: Result.BOUNCED, reply: { code: 550, enhanced: '5.1.1', text: 'no such user', remoteHost: '' } };
  const nobody = { ...toMx('a@here.test'), nextHop: undefined, verdict };
  await world.enqueue({ queueId: 'Q1', to: [nobody, { ...nobody, address: 'b@here.test' }, toMailbox('c@here.test')] });
  assert.deepEqual(world.results().toSorted(), ['a@here.test bounced', 'b@here.test bounced', 'c@here.test delivered']);
  assert.equal(world.dsns().length, 1, 'both in one notification');
  await world.stop();
});
