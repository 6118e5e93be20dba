import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWorld, dead, START_MS, takes, toMx } from './testing/world.ts';

const DAY_MS = 86_400_000;
const SITE = { siteInitialConnections: 2, siteConnections: 2 };
const MESSAGES = 30;

/** A world with mail for one site whose host answers nothing until it is told to. */
async function createBusyWorld(site: string, delivery: Parameters<typeof createWorld>[0] = {}, limits?: readonly string[]) {
  const world = createWorld({ ...SITE, ...delivery });
  const answers: (() => void)[] = [];
  world.remote.hosts.set(site, (job) => new Promise((resolve) => answers.push(() => resolve(takes(job) as never))));
  const plan = { site, title: site, validUntilMs: START_MS + DAY_MS, ...(limits && { limits }) };
  world.remote.resolutions.set(site, async () => ({ is: 'plan', plan }));
  await world.start();
  for (let number = 0; number < MESSAGES; number++) await world.enqueue({ queueId: `Q${number}`, to: [toMx(`a@${site}`)] });
  await world.clock.pass(1000);
  const useful = () => world.metric('angarium_delivery_useful_recipients');
  const oldest = () => world.metric('angarium_delivery_useful_oldest_seconds');
  return { world, answers, useful, oldest };
}

test('mail that waits for its turn at a site is work for more workers, and told with its age', async () => {
  const { world, useful, oldest } = await createBusyWorld('busy.test');
  assert.equal(await useful(), MESSAGES - SITE.siteConnections);
  const before = await oldest();
  await world.clock.pass(5000);
  assert.equal(await oldest(), before + 5);
  await world.kill();
});

test('what is suspended is none, one site or all', async () => {
  for (const scope of ['site:busy.test', 'all']) {
    const { world, useful, oldest } = await createBusyWorld('busy.test');
    await world.delivery.queue.suspend({ scope, reason: 'a test' });
    await world.clock.pass(1000);
    assert.deepEqual([scope, await useful(), await oldest()], [scope, 0, 0]);
    await world.kill();
  }
});

test('a site that allows fewer connections than one worker has is one worker’s affair, however much waits for it', async () => {
  const limits = [{ name: 'big', hosts: ['limited.test'], connections: 1, perMs: 1000 }];
  const { world, useful, oldest } = await createBusyWorld('limited.test', { limits }, ['big']);
  assert.deepEqual([await useful(), await oldest()], [1, 0]);
  await world.kill();
});

test('a site that allows so many messages a second is work for what it takes in a minute', async () => {
  const limits = [{ name: 'slow', hosts: ['limited.test'], messages: 1, perMs: 10_000 }];
  const { world, useful } = await createBusyWorld('limited.test', { limits }, ['slow']);
  assert.equal(await useful(), 6);
  await world.kill();
});

test('a dead site is no work', async () => {
  const world = createWorld(SITE);
  world.remote.hosts.set('dead.test', dead);
  await world.start();
  for (let number = 0; number < MESSAGES; number++) await world.enqueue({ queueId: `Q${number}`, to: [toMx('a@dead.test')] });
  await world.clock.pass(5000);
  assert.equal(await world.metric('angarium_delivery_useful_recipients'), 0);
  await world.stop();
});
