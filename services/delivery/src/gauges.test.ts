import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bounces, createWorld, defers, every, START_MS, takes, toMailbox, toMx } from './testing/world.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ROUND = { housekeepingMs: 10_000 };

test('what is queued is counted once by what it waits for, and once by its age', async () => {
  const world = createWorld({ housekeepingMs: 2 * MINUTE, lifetimeMs: 30 * 24 * HOUR });
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@there.test'), toMx('bob@there.test')] });
  await world.delivery.queue.suspend({ scope: 'domain:held.test', reason: 'a test' });
  await world.enqueue({ queueId: 'Q2', to: [toMx('cat@held.test')] });
  await world.clock.pass(3 * MINUTE);
  const states = async () => {
    const read = (state: string) => world.metric(`angarium_delivery_queued_recipients{state="${state}"}`);
    return [await read('in_flight'), await read('due'), await read('waiting'), await read('suspended')];
  };
  const aged = (age: string) => world.metric(`angarium_delivery_queued_age_recipients{age="${age}"}`);
  assert.deepEqual(await states(), [0, 0, 2, 1]);
  assert.deepEqual([await aged('5m'), await aged('1h'), await aged('older')], [3, 0, 0]);
  assert.ok((await world.metric('angarium_delivery_watermark_lag_records')) > 0);
  await world.clock.pass(2 * HOUR);
  assert.deepEqual([await aged('5m'), await aged('4h')], [0, 3]);
  assert.equal(await world.metric('angarium_delivery_oldest_due_seconds'), 0);
  await world.clock.pass(6 * 24 * HOUR);
  assert.equal(await aged('older'), 3);
  await world.stop();
});

test('what is on its way is counted by its age too', async () => {
  const world = createWorld(ROUND);
  let answer = () => {};
  world.remote.hosts.set('slow.test', (job) => new Promise((resolve) => (answer = () => resolve(takes(job) as ReturnType<typeof every>))));
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@slow.test')] });
  await world.clock.pass(6 * MINUTE);
  assert.equal(await world.metric('angarium_delivery_queued_recipients{state="in_flight"}'), 1);
  assert.equal(await world.metric('angarium_delivery_queued_age_recipients{age="1h"}'), 1);
  answer();
  await world.clock.pass(20_000);
  assert.equal(await world.metric('angarium_delivery_queued_recipients'), 0);
  assert.equal(await world.metric('angarium_delivery_queued_age_recipients'), 0);
  await world.stop();
});

test('lanes are counted by state, with their epochs and by how they came', async () => {
  const world = createWorld();
  await world.start();
  assert.equal(await world.metric('angarium_delivery_lanes{state="owned"}'), 2);
  assert.equal(await world.metric('angarium_delivery_lanes_unowned'), 0);
  assert.equal(await world.metric('angarium_delivery_lane_takeovers_total{owner="new"}'), 2);
  const first = await world.metric('angarium_delivery_lane_epoch{lane="1"}');
  await world.kill();
  await world.start();
  assert.equal(await world.metric('angarium_delivery_lane_takeovers_total{owner="silent"}'), 2);
  assert.ok((await world.metric('angarium_delivery_lane_epoch{lane="1"}')) > first);
  await world.stop();
});

test('attempts at other hosts are counted by the reply and by the provider, those in doubt apart', async () => {
  const world = createWorld(ROUND);
  const plan = (site: string) => ({ site, title: site, validUntilMs: START_MS + 30 * 24 * HOUR, provider: 'google' });
  const hosts = { 'takes.test': takes, 'defers.test': defers, 'bounces.test': bounces };
  for (const [site, host] of Object.entries(hosts)) world.remote.hosts.set(site, host);
  world.remote.hosts.set('lost.test', (job) =>
    every(job, { result: 'deferred', reply: { code: 0, enhanced: '4.4.2', text: 'lost', remoteHost: '' } }, { inDoubt: true }),
  );
  const sites = [...Object.keys(hosts), 'lost.test'];
  for (const site of sites) world.remote.resolutions.set(site, async () => ({ is: 'plan', plan: plan(site) }));
  await world.start();
  for (const site of sites) await world.enqueue({ queueId: site.replace('.', ''), to: [toMx(`a@${site}`), toMx(`b@${site}`)] });
  await world.enqueue({ queueId: 'local', to: [toMailbox('a@here.test')] });
  const attempts = (result: string) => world.metric(`angarium_delivery_provider_attempts_total{provider="google",result="${result}"}`);
  const replies = (kind: string) => world.metric(`angarium_delivery_replies_total{class="${kind}"}`);
  for (const result of ['delivered', 'deferred', 'bounced', 'doubt']) assert.equal(await attempts(result), 2, result);
  for (const kind of ['2xx', '4xx', '5xx', 'none']) assert.equal(await replies(kind), 1, kind);
  assert.equal(await world.metric('angarium_delivery_provider_attempts_total'), 8);
  await world.stop();
});
