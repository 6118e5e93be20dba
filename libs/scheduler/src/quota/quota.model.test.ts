import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createChance } from './fixtures/chance.ts';
import { LIMIT, live } from './fixtures/life.ts';
import type { Plant } from './fixtures/model.ts';
import { World } from './fixtures/world.ts';
import { createGrantee } from './grantee.ts';
import { granterOf } from './limit.ts';

const SEEDS = 600;
const SEEDS_UNTIL_FOUND = 400;
const only = Number(process.env.SEED ?? 0);
test('a limit is never exceeded at the receiver, whatever befalls the workers', () => {
  let messages = 0;
  for (let seed = only || 1; seed <= (only || SEEDS); seed++) {
    const { faults, sink } = live(seed);
    assert.deepEqual(faults, [], `SEED=${seed}`);
    for (const count of sink.messages.values()) messages += count;
  }
  assert.ok(only > 0 || messages > 100 * SEEDS, `only ${messages} messages: this simulates too little`);
});

const PLANTS: Readonly<Record<string, Plant>> = {
  'a granter that does not wait for the grants of its predecessor': { granter: { leaseMs: -20_000 } },
  'a grantee that counts its grant from later than it asked': { grantee: { grantMs: 40_000 } },
  'a granter that does not believe what workers hold': { forgetsHeld: true },
};

for (const [mistake, plant] of Object.entries(PLANTS))
  test(`the model finds ${mistake}`, () => {
    for (let seed = 1; seed <= SEEDS_UNTIL_FOUND; seed++) if (live(seed, plant).faults.length > 0) return;
    assert.fail('not found');
  });

/** Four workers with more mail than they can send, the clocks of which stand at `atMs`. */
function quiet(atMs: number, ages: readonly number[] = [0, 10_000, 20_000, 30_000]): World {
  const world = new World(createChance(5), LIMIT);
  world.slowOneIn = Number.POSITIVE_INFINITY;
  for (const ageMs of ages) world.join({ ready: 50_000, ageMs });
  world.runTo(atMs);
  return world;
}

/** Messages by worker within the next `forMs`. */
function sent(world: World, forMs: number): number[] {
  const before = new Map(world.sink.messages);
  world.runTo(world.nowMs + forMs);
  assert.deepEqual(world.faults, []);
  return world.workers.map(({ incarnation }) => (world.sink.messages.get(incarnation) ?? 0) - (before.get(incarnation) ?? 0));
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

test('in quiet times four workers use most of the limit, and each gets its turn', () => {
  const counts = sent(quiet(30_000), 120_000);
  assert.ok(sum(counts) >= 0.8 * 10 * 120, counts.join(' '));
  assert.ok(Math.min(...counts) > 100, counts.join(' '));
});

test('one worker alone uses most of the limit', () => {
  const counts = sent(quiet(30_000, [0]), 60_000);
  assert.ok(sum(counts) >= 0.8 * 10 * 60, counts.join(' '));
});

test('the first turns go to the oldest mail', () => {
  const world = quiet(27_500);
  const counts = sent(world, 6_000);
  assert.deepEqual(counts.slice(0, 2), [0, 0], counts.join(' '));
});

test('a granter that leaves hands its key over: nobody waits for old grants', () => {
  const world = quiet(60_000);
  const granter = world.workers.find(
    ({ incarnation }) =>
      incarnation ===
      granterOf(
        'big',
        world.workers.map((worker) => worker.incarnation),
      ),
  );
  granter?.leave();
  const counts = sent(world, 20_000);
  assert.ok(sum(counts) >= 0.7 * 10 * 20, counts.join(' '));
});

test('a worker that dies with all connections is waited for, then the others go on', () => {
  const world = quiet(60_000);
  world.workers[3]?.kill();
  world.workers[2]?.kill();
  world.runTo(60_000 + 45_000);
  const counts = sent(world, 20_000);
  assert.ok(sum(counts) >= 0.7 * 10 * 20, counts.join(' '));
});

test('one who joins gets a share within a turn', () => {
  const world = quiet(60_000, [0, 0]);
  world.join({ ready: 1_000, ageMs: 90_000 });
  assert.ok((sent(world, 35_000)[2] ?? 0) > 0);
});

test('who has nothing to send leaves all to the others', () => {
  const world = quiet(60_000, [0, 0, 0]);
  for (const worker of world.workers.slice(1)) worker.ready = 0;
  world.runTo(70_000);
  const counts = sent(world, 20_000);
  assert.ok((counts[0] ?? 0) >= 0.8 * 10 * 20, counts.join(' '));
});

test('a limit that is changed is kept by all workers within two seconds, and used', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World(createChance(seed), LIMIT);
    world.slowOneIn = Number.POSITIVE_INFINITY;
    // Mail of one age: whoever asked last does not count as the one who waits longest.
    for (const ageMs of seed % 2 === 0 ? [0, 10_000, 20_000, 30_000] : [0, 0, 0, 0]) world.join({ ready: 50_000, ageMs });
    world.runTo(40_000);
    const orders = [
      { connections: 1, messages: 2 },
      { connections: 6, messages: 40 },
      { connections: 1, messages: 5 },
    ];
    for (const order of orders) {
      world.order(order);
      world.runTo(world.nowMs + 2_500);
      const counts = sent(world, 20_000);
      assert.ok(sum(counts) >= 0.5 * order.messages * 20, `seed ${seed}, ${order.messages} a second: ${counts.join(' ')}`);
    }
  }
});

test('a limit of connections alone, and one of messages alone, may become each other', () => {
  const world = quiet(40_000);
  for (const order of [{ connections: 3 }, { messages: 10 }, { connections: 2, messages: 10 }]) {
    world.order(order);
    world.runTo(world.nowMs + 2_500);
    assert.ok(sum(sent(world, 20_000)) > 100);
  }
});

test('a key without a limit asks nobody and may do everything', () => {
  const grantee = createGrantee({ incarnation: 'w1', limitOf: () => undefined });
  const now = { monotonicMs: 0, wallMs: 0 };
  grantee.demand('small', { ready: 10, oldestMs: 0 });
  assert.ok(grantee.mayOpen('small', now));
  grantee.opened('small');
  assert.equal(grantee.mayKeep('small', now), Number.POSITIVE_INFINITY);
  assert.equal(grantee.sendsInMs('small', now), 0);
  grantee.sent('small');
  grantee.counted('small', now);
  grantee.closed('small');
  assert.deepEqual(grantee.tick(now), []);
});
