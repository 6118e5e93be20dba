import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer, createWorld, dead, START_MS, takes, toMx, type World } from './testing/world.ts';
import type { Resolution } from './transport/port.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const trouble = (ownFault: boolean) => async (): Promise<Resolution> => ({
  is: 'deferred',
  reply: answer(0, '4.4.3', 'name server trouble while looking up lame.test: SERVFAIL'),
  ownFault,
});

const notifications = (world: World): readonly string[] =>
  world.dsns().map(({ content }) => (content?.place?.$case === 'inline' ? Buffer.from(content.place.value).toString() : ''));

test('a domain whose name servers fail is tried by the schedule, told of, and expires', async () => {
  const world = createWorld({ warnAfterMs: 4 * HOUR });
  world.remote.resolutions.set('lame.test', trouble(false));
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@lame.test')] });
  await world.clock.pass(16 * MINUTE);
  assert.deepEqual(
    world.outcomes().map(({ recipients }) => recipients[0]?.attempts),
    [1, 2, 3],
  );
  await world.clock.pass(5 * DAY - 17 * MINUTE);
  assert.equal(world.results().at(-1), 'a@lame.test deferred');
  await world.clock.pass(MINUTE);
  assert.equal(world.results().at(-1), 'a@lame.test expired');
  const [warning, bounce, ...others] = notifications(world);
  assert.deepEqual(others, []);
  assert.match(warning ?? '', /^Action: delayed\r\nStatus: 4\.4\.3\r\n/m);
  assert.match(bounce ?? '', /^Action: failed\r\nStatus: 4\.4\.7\r\n/m);
  assert.match(bounce ?? '', /SERVFAIL/);
  assert.equal(world.remote.jobs.length, 0);
  await world.stop();
});

test('while our resolvers are down nothing expires, and it is delivered when they are back', async () => {
  const world = createWorld();
  world.remote.resolutions.set('lame.test', trouble(true));
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@lame.test')] });
  assert.equal(await world.metric('angarium_delivery_own_faults_total'), 1);
  assert.ok(world.lines.some(({ level, event, hop }) => level === 'warn' && event === 'delivery.lookup.put_off' && hop === 'lame.test'));
  await world.clock.pass(20 * DAY);
  assert.deepEqual(world.outcomes(), []);
  assert.deepEqual(world.dsns(), []);
  world.remote.resolutions.clear();
  await world.clock.pass(5 * MINUTE);
  assert.deepEqual(world.results(), ['a@lame.test delivered']);
  await world.stop();
});

/** Twenty mails for a site that is known to be dead, whose way holds for a minute only. */
async function createDeadSite(): Promise<World> {
  const world = createWorld();
  world.remote.hosts.set('mx.test', dead);
  world.remote.resolutions.set('lame.test', async () => ({
    is: 'plan',
    plan: { site: 'mx.test', title: 'mx.test', validUntilMs: START_MS + MINUTE / 2 },
  }));
  await world.start();
  for (let n = 0; n < 20; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx(`a${n}@lame.test`)] });
  assert.ok(world.results().length < 10);
  return world;
}

test('when the domain of a dead site is gone, all of its mail learns it by one probe', async () => {
  const world = await createDeadSite();
  world.remote.resolutions.set('lame.test', async () => ({ is: 'bounced', reply: answer(550, '5.1.2', 'lame.test does not exist') }));
  await world.clock.pass(2 * MINUTE);
  assert.equal(world.results().filter((line) => line.endsWith(' bounced')).length, 20);
  await world.stop();
});

test('when the name servers of a dead site fail, its mail expires as other mail does', async () => {
  const world = await createDeadSite();
  world.remote.resolutions.set('lame.test', trouble(false));
  await world.clock.pass(5 * DAY + HOUR);
  assert.equal(world.results().filter((line) => line.endsWith(' expired')).length, 20);
  world.remote.hosts.set('mx.test', takes);
  await world.stop();
});
