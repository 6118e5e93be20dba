import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppendFate } from '@angarium/log';
import { Result } from '@angarium/records';
import { settle } from './testing/clock.ts';
import { answer, bounces, createWorld, dead, defers, every, type Host, takes, toMailbox, toMx, type World } from './testing/world.ts';

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const SEEDS = 8;

/** A small generator of its own, so that a seed means the same everywhere. */
function createRandom(seed: number): () => number {
  let state = (seed * 2_654_435_761) >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
}

const throttles: Host = (job) => every(job, { result: 'deferred', reply: answer(421, '4.7.0', 'slow down') }, { site: 'throttled' });
const loses: Host = (job) => every(job, { result: 'deferred', reply: answer(0, '4.4.2', 'lost') }, { inDoubt: true });
const fails: Host = (job) => every(job, { result: 'deferred' }, { spent: false });
const HOSTS: readonly Host[] = [takes, takes, takes, defers, bounces, dead, throttles, loses, fails];
const FATES: readonly AppendFate[] = ['kept', 'kept', 'kept', 'kept', 'lost', 'inDoubt', 'twice'];

interface Life {
  readonly world: World;
  readonly random: () => number;
  /** "queue id, address" of every recipient. */
  readonly sent: string[];
}

const pick = <T>({ random }: Life, from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;

async function enqueue(life: Life): Promise<void> {
  const { world, random, sent } = life;
  const queueId = `Q${sent.length}`;
  const addresses = Array.from({ length: 1 + Math.floor(random() * 6) }, (_, n) => `${queueId}r${n}@${pick(life, ['a', 'b', 'c'])}.test`);
  const to = addresses.map((address) => (random() < 0.3 ? toMailbox(address) : toMx(address)));
  world.faults.fate = () => 'kept';
  await world.enqueue({ queueId, to, lane: Math.floor(random() * 2), envelope: { tenant: pick(life, ['t', 'u']) } });
  sent.push(...addresses.map((address) => `${queueId} ${address}`));
}

/** Share of the dice and what happens then. */
const EVENTS: readonly (readonly [share: number, happen: (life: Life) => Promise<unknown>])[] = [
  [0.45, enqueue],
  [
    0.1,
    async (life) => {
      for (const domain of ['a.test', 'b.test', 'c.test']) life.world.remote.hosts.set(domain, pick(life, HOSTS));
    },
  ],
  [
    0.05,
    async ({ world, random }) => {
      world.box.isDown = random() < 0.5;
    },
  ],
  [
    0.05,
    async (life) => {
      const { world } = life;
      world.faults.fate = (topic) => {
        const fate = topic === 'mail.lane' || topic === 'mail.in.bulk' ? pick(life, FATES) : 'kept';
        // A second copy comes soon or never.
        if (fate === 'twice') world.clock.after(20_000, () => world.log.landCopies());
        return fate;
      };
    },
  ],
  [
    0.05,
    async ({ world }) => {
      world.faults.fate = () => 'kept';
      await world.kill();
      await world.start();
    },
  ],
  [0.05, ({ world }) => world.delivery.queue.flush({ filter: undefined })],
  [0.05, ({ world }) => world.clock.pass(DAY)],
  [0.2, ({ world, random }) => world.clock.pass(Math.floor(random() * 20 * MINUTE))],
];

function choose(dice: number): (life: Life) => Promise<unknown> {
  let left = dice;
  for (const [share, happen] of EVENTS) {
    left -= share;
    if (left < 0) return happen;
  }
  return enqueue;
}

async function live(life: Life): Promise<void> {
  for (let step = 0; step < 60; step++) {
    await choose(life.random())(life);
    await settle();
  }
}

/** Everything heals, and time passes until nothing waits. */
async function heal({ world }: Life): Promise<void> {
  world.faults.fate = () => 'kept';
  world.log.landCopies();
  world.box.isDown = false;
  world.remote.hosts.clear();
  await world.clock.pass(DAY);
}

/** By recipient, the kinds of final outcome that were written. */
function endsOf(world: World): ReadonlyMap<string, ReadonlySet<number>> {
  const ends = new Map<string, Set<number>>();
  const parts = [0, 1].flatMap((lane) =>
    world.ended(lane).flatMap(({ queueId, recipients }) => recipients.map((part) => ({ queueId, part }))),
  );
  for (const { queueId, part } of parts) {
    if (part.result === Result.DEFERRED) continue;
    for (const address of part.addresses) {
      const key = `${queueId} ${address}`;
      ends.set(key, (ends.get(key) ?? new Set()).add(part.result));
    }
  }
  return ends;
}

test(`in ${SEEDS} random lives with kills, faults and second copies every recipient ends once, and nothing waits forever`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = createRandom(seed);
    const historyMs = random() < 0.5 ? MINUTE : DAY;
    const world = createWorld({ historyMs, housekeepingMs: 30 * MINUTE, moveAfterRecords: 30, lifetimeMs: 3 * DAY });
    await world.start();
    const life: Life = { world, random, sent: [] };
    await live(life);
    await heal(life);
    const { recipients } = await world.delivery.queue.list({ filter: undefined, limit: 10, pageToken: '' });
    assert.deepEqual(recipients, [], `seed ${seed}: still queued`);
    const ends = endsOf(world);
    for (const one of life.sent) assert.equal(ends.get(one)?.size, 1, `seed ${seed}: ${one} ended as ${[...(ends.get(one) ?? [])]}`);
    assert.equal(ends.size, life.sent.length, `seed ${seed}`);
    assert.ok(!world.lines.some(({ event }) => event === 'delivery.recipients.astray'), `seed ${seed}: astray`);
    await world.stop();
  }
});
