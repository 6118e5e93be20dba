import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWorld, toMailbox, toMx } from './testing/world.ts';

test('mail in a lane goes to the mailbox and ends in an outcome', async () => {
  const world = createWorld();
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMailbox('ann@here.test'), toMailbox('ben@here.test')] });
  assert.deepEqual(
    world.box.requests.map(({ queueId, recipients }) => [queueId, recipients.map(({ account }) => account)]),
    [['Q1', ['ann@here.test', 'ben@here.test']]],
  );
  assert.deepEqual(world.results(), ['ann@here.test delivered', 'ben@here.test delivered']);
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
  await world.stop();
});
