import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countAstray } from './astray.ts';
import { takeCensus } from './queue/summary.ts';
import { createSmallWorld } from './testing/small-world.ts';
import { createWorld, type every, takes, toMx } from './testing/world.ts';

test('a recipient that was taken from its site and given to nobody is astray', async () => {
  const { core, enqueue, fold } = await createSmallWorld();
  await enqueue(0, 5, 'dead.test');
  assert.equal(fold.waitingRecipients, 5);
  assert.equal(countAstray(core, takeCensus(core)), 0);
  const [message] = fold.messages.values();
  const [number] = message === undefined ? [] : core.units.of(message);
  assert.ok(number !== undefined);
  core.scheduler.remove(number, core.deps.clock.nowMs());
  assert.equal(countAstray(core, takeCensus(core)), 1);
});

test('a recipient that is being looked up or under way is not astray, also when its hosts take their time', async () => {
  const world = createWorld({ housekeepingMs: 10_000 });
  const answers: (() => void)[] = [];
  world.remote.hosts.set(
    'slow.test',
    (job) => new Promise((resolve) => answers.push(() => resolve(takes(job) as ReturnType<typeof every>))),
  );
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('ann@slow.test'), toMx('bob@slow.test')] });
  await world.enqueue({ queueId: 'Q2', to: [toMx('cat@slow.test')] });
  await world.clock.pass(60_000);
  assert.equal(await world.metric('angarium_delivery_recipients_waiting'), 3);
  assert.equal(await world.metric('angarium_delivery_recipients_astray'), 0);
  for (const answer of answers) answer();
  await world.clock.pass(60_000);
  assert.equal(await world.metric('angarium_delivery_recipients_waiting'), 0);
  await world.stop();
});
