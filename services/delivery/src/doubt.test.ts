import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from './testing/clock.ts';
import { createWorld, every, START_MS, takes, toMailbox, toMx, type World } from './testing/world.ts';

const STOP = { drainMs: 20_000, inDoubtAfterMs: 2000, inDoubtHoldMs: 30_000 };
/** What the stop takes at most, and the hold. */
const UNTIL_MS = 20_000 + 6000 + 30_000;

const doubts = (world: World) => world.records('mail.lane').flatMap((kind) => (kind.$case === 'inDoubt' ? [kind.value] : []));

/** Two mails on the wire: one is sent and not answered until `answer`, the other has not got as far. */
async function createStopping() {
  const world = createWorld(STOP);
  const late = Promise.withResolvers<void>();
  world.remote.hosts.set('late.test', async (job) => {
    job.onDot();
    await late.promise;
    return every(job, {});
  });
  world.remote.hosts.set('slow.test', () => new Promise(() => {}));
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@late.test'), toMx('b@late.test'), toMx('c@slow.test')] });
  const stopped = world.delivery.stop();
  return { world, stopped, answer: late.resolve };
}

test('a stop records what was sent and is not answered, nothing else, and not at once', async () => {
  const { world, stopped, answer } = await createStopping();
  await world.clock.pass(1999);
  assert.deepEqual(doubts(world), []);
  await world.clock.pass(1);
  assert.deepEqual(
    doubts(world).map(({ queueId, addresses, untilMs }) => [queueId, addresses.toSorted(), untilMs - START_MS]),
    [['Q1', ['a@late.test', 'b@late.test'], UNTIL_MS]],
  );
  answer();
  await world.clock.pass(60_000);
  await stopped;
});

test('an answer that comes after the record and before the end is a fact, and nothing is sent again', async () => {
  const { world, stopped, answer } = await createStopping();
  await world.clock.pass(10_000);
  answer();
  await world.clock.pass(60_000);
  await stopped;
  assert.deepEqual(world.results().toSorted(), ['a@late.test delivered', 'b@late.test delivered']);
  await world.kill();
  world.remote.jobs.length = 0;
  world.remote.hosts.clear();
  await world.start();
  await world.clock.pass(3_600_000);
  assert.deepEqual(
    world.remote.jobs.flatMap(({ to }) => to),
    ['c@slow.test'],
  );
  await world.stop();
});

test('when the stop is cut short, the next start holds those in doubt alone, then tries them again, and counts', async () => {
  const { world } = await createStopping();
  await world.clock.pass(5000);
  await world.kill();
  world.remote.jobs.length = 0;
  world.remote.hosts.set('late.test', takes);
  world.remote.hosts.set('slow.test', takes);
  await world.start();
  const sent = () => world.remote.jobs.flatMap(({ to }) => to).toSorted();
  assert.deepEqual(sent(), ['c@slow.test']);
  const { recipients } = await world.delivery.queue.show({ queueId: 'Q1' });
  assert.match(recipients[0]?.explanation ?? '', /may still be answered/);
  await world.delivery.queue.flush({ filter: undefined });
  await world.clock.pass(UNTIL_MS - 5001);
  assert.deepEqual(sent(), ['c@slow.test']);
  await world.clock.pass(1);
  assert.deepEqual(sent(), ['a@late.test', 'b@late.test', 'c@slow.test']);
  assert.equal(
    world
      .outcomes()
      .flatMap(({ recipients: parts }) => parts.map(({ attempts }) => attempts))
      .every((attempts) => attempts === 1),
    true,
  );
  await world.stop();
});

test('what is stored by the mailbox service is never in doubt: it knows what it has', async () => {
  const world = createWorld(STOP);
  const { mailbox } = world.box;
  mailbox.deliver = () => new Promise(() => {});
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMailbox('ann@here.test')] });
  const stopped = world.delivery.stop();
  await world.clock.pass(60_000);
  await stopped;
  await settle();
  assert.deepEqual(doubts(world), []);
});
