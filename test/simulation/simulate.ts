import { type Chance, createChance } from './chance.ts';
import { type Sent, sendLetter } from './client.ts';
import { countMail, type Letter } from './mail-count.ts';
import { CLIENT_ADDRESS } from './wire.ts';
import { createWorld, LIFETIME_MS, type Plant, type World } from './world.ts';

const MINUTE_MS = 60_000;
/** Trouble of our own, restarts and new mail end after this; dead hosts stay dead. */
const TROUBLE_MS = 90 * MINUTE_MS;
const NEVER = 1;
/** Of all letters: their clients are in a relay network. */
const TENANT = `tenant:relay:${CLIENT_ADDRESS}/32`;

const POOL = [
  ...['u1@here.test', 'u2@here.test', 'gone@here.test', 'list@here.test', 'list@here.test'],
  ...['x@a.test', 'y@a.test', 'x@b.test', 'bad1@b.test', 'x@c.test', 'bad2@c.test', 'x@d.test', 'x@nowhere.test', 'x@lame.test'],
];

function drawLetter(chance: Chance, number: number): Letter {
  const recipients = [...new Set(Array.from({ length: chance.between(1, 4) }, () => chance.pick(POOL)))];
  const sender = chance.hits(0.15) ? '' : chance.hits(0.2) ? `s${number}@a.test` : `s${number}@here.test`;
  return {
    sender,
    notify: chance.pick([0, 0, 0, NEVER, 2, 4, 6, 12, 14]),
    recipients,
    isLarge: chance.hits(0.2),
    id: `m${number}@letters.test`,
  };
}

interface Run {
  readonly world: World;
  readonly chance: Chance;
  /** What was sent, and what became of it as far as its client knows; in doubt until then. */
  readonly letters: Map<Letter, Sent>;
  readonly faults: string[];
}

/** The count of promise 2 is right at every instant, not only in the end. */
function audit({ world, faults }: Run): void {
  const report = world.now.delivery.accounting();
  if (report !== undefined && report.difference !== 0 && faults.length < 10)
    faults.push(`accounting at ${world.time.nowMs()}: ${JSON.stringify(report)}`);
}

const EVERYTHING = { queueId: '', domain: '', site: '', tenant: '', state: '', olderThanMs: 0 };

/** An order of an operator. It may fail, and be in the log all the same. */
async function operate({ now, witness }: World, chance: Chance, letters: readonly Letter[]): Promise<void> {
  const { queue } = now.delivery;
  const queueIds = letters.map(({ id }) => witness.queueIdOf(id)).filter((queueId) => queueId !== undefined);
  const order = chance.between(0, 4);
  if (order === 0) await queue.flush({ filter: EVERYTHING });
  else if (order === 1) await queue.suspend({ scope: chance.pick(['domain:a.test', TENANT, 'all']), reason: 'test' });
  else if (order === 2) for (const { scope } of (await queue.suspensions()).suspensions) await queue.resume({ scope });
  else if (queueIds.length > 0) await queue.delete({ filter: { ...EVERYTHING, queueId: chance.pick(queueIds) } });
}

async function resumeAll({ now }: World): Promise<void> {
  const { queue } = now.delivery;
  for (const { scope } of (await queue.suspensions()).suspensions) await queue.resume({ scope });
}

function crash(error: unknown): never {
  throw error;
}

/** Letters and misfortunes, each at its time. */
function drawEvents({ world, chance, letters }: Run): readonly { readonly atMs: number; readonly run: () => Promise<void> }[] {
  const events: { atMs: number; run: () => Promise<void> }[] = [];
  const add = (count: number, run: () => Promise<void>) => {
    for (let left = count; left > 0; left--) events.push({ atMs: chance.between(0, TROUBLE_MS), run });
  };
  let number = 0;
  add(chance.between(3, 16), async () => {
    const letter = drawLetter(chance, number++);
    letters.set(letter, { answer: 'inDoubt', recipients: [] });
    // Not waited for: a slow log must not keep the world from turning.
    sendLetter(world.connect(), letter, chance.fork()).then((sent) => letters.set(letter, sent), crash);
  });
  add(chance.between(0, 4), () => world.crash());
  // A crash loop: each life is too short to get far.
  if (chance.hits(0.3))
    add(1, async () => {
      for (let deaths = chance.between(2, 4); deaths > 0; deaths--) {
        await world.crash();
        await world.time.pass(chance.between(0, 4000));
      }
    });
  add(chance.between(0, 1), () => world.restart());
  add(chance.between(0, 1), () => world.cutShort(chance.between(0, 25_000)));
  add(chance.between(0, 2), () =>
    world.addLaneTable({ localSpread: chance.between(1, 3), spreads: [{ domain: 'a.test', lanes: chance.between(1, 3) }] }),
  );
  add(chance.between(0, 5), async () => void operate(world, chance, [...letters.keys()]).catch(() => {}));
  return events.sort((one, other) => one.atMs - other.atMs);
}

export interface Outcome {
  /** What is wrong, in words; empty: every letter is accounted for. */
  readonly faults: readonly string[];
  readonly tally: Tally;
}

/** What was there to be found wrong. */
export interface Tally {
  readonly letters: number;
  /** As their clients know it. */
  readonly kept: number;
  readonly refused: number;
  readonly taken: number;
  readonly moved: number;
  readonly trimmed: number;
  readonly orders: number;
  readonly owners: number;
  readonly doubts: number;
}

const answered = (letters: Run['letters'], answer: Sent['answer']) => [...letters.values()].filter((sent) => sent.answer === answer).length;

function tallyOf({ world, letters }: Run): Tally {
  const { witness } = world;
  return {
    letters: letters.size,
    kept: answered(letters, 'kept'),
    refused: answered(letters, 'refused'),
    taken: witness.queueIds.size,
    moved: witness.records('moved'),
    trimmed: world.trimmed(),
    orders: witness.records('admin'),
    owners: witness.records('owner'),
    doubts: witness.records('inDoubt'),
  };
}

/** One life of a cluster of one, from its first letter until nothing is queued any more. */
export async function simulate(seed: number, plant?: Plant): Promise<Outcome> {
  const chance = createChance(seed);
  const world = createWorld(chance.fork(), plant);
  const run: Run = { world, chance, letters: new Map(), faults: [] };
  const turn = () => audit(run);
  await world.addLaneTable({ localSpread: 2 });
  await world.start();
  const startMs = world.time.nowMs();
  for (const event of drawEvents(run)) {
    await world.time.pass(Math.max(0, startMs + event.atMs - world.time.nowMs()), turn);
    await event.run();
  }
  world.calm();
  await world.time.pass(MINUTE_MS, turn);
  await resumeAll(world);
  await world.time.pass(TROUBLE_MS + LIFETIME_MS, turn);
  await world.time.settle();
  const faults = [...run.faults, ...world.alarms, ...countMail(world.witness, run.letters)];
  const report = world.now.delivery.accounting();
  if (report === undefined || report.queued !== 0) faults.push(`still queued: ${JSON.stringify(report)}`);
  if (world.now.delivery.notReady().length > 0) faults.push(...world.now.delivery.notReady());
  world.now.clock.kill();
  world.now.log.crash();
  await world.time.settle();
  return { faults, tally: tallyOf(run) };
}
