import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Kind } from '@angarium/records';
import type { LeaseAction } from './action.ts';
import { createChance } from './fixtures/chance.ts';
import type { WorldOptions } from './fixtures/model.ts';
import type { Worker } from './fixtures/worker.ts';
import { World } from './fixtures/world.ts';
import { createLeaseFold } from './fold.ts';
import type { LeaseRecord } from './lease.ts';
import { createLeaseMember } from './member.ts';

const SETTLED_MS = 20_000;

/** A world in which nothing goes wrong by itself, with its workers at rest. */
function settled(
  options: Partial<WorldOptions>,
  ...names: readonly string[]
): { world: World; workers: Worker[]; run: (ms: number) => void } {
  const world = new World(createChance(7), { lanes: 12, isFaultless: true, ...options });
  const workers = names.map((name) => world.join(name));
  const run = (ms: number): void => {
    const untilMs = world.nowMs + ms;
    while (world.nowMs < untilMs) {
      world.timeline.runTo(Math.min(untilMs, world.nowMs + 250));
      world.checkLife(15_000);
    }
    assert.deepEqual(world.faults, []);
  };
  run(SETTLED_MS);
  return { world, workers, run };
}

/** The owner's time with a lane, now. */
const reignOf = (worker: Worker | undefined, lane: number) => ({ lane, epoch: worker?.lanes.get(lane)?.epoch ?? 0 });

const owned = (workers: readonly Worker[]): number[] => workers.map(({ lanes }) => lanes.size);
const count = (world: World, what: Parameters<World['count']>[0]): number => world.tally.get(what) ?? 0;
const claims = (world: World): Kind[] => world.records.map(({ kind }) => kind).filter(({ $case }) => $case === 'leaseClaim');

test('an empty log gets a beginning, and its lanes are shared after the wait', () => {
  const { world, workers } = settled({}, 'anna', 'bert', 'cleo');
  assert.deepEqual(owned(workers), [4, 4, 4]);
  assert.equal(new Set(workers.map(({ member }) => member.fold.logId)).size, 1);
  assert.equal(count(world, 'drain'), 0);
});

test('one worker takes 128 lanes by one record', () => {
  const { world, workers } = settled({ lanes: 128 }, 'anna');
  assert.deepEqual(owned(workers), [128]);
  assert.equal(claims(world).length, 1);
});

test('who joins gets exactly its share, the others keep theirs', () => {
  const { world, run } = settled({ lanes: 128 }, 'anna', 'bert', 'cleo');
  const before = new Map([...world.witness.lanes.values()].map(({ lane, epoch }) => [lane, epoch]));
  world.join('dora');
  run(30_000);
  assert.deepEqual(owned(world.workers), [32, 32, 32, 32]);
  const moved = [...world.witness.lanes.values()].filter(({ lane, epoch }) => before.get(lane) !== epoch);
  assert.equal(moved.length, 32);
  assert.ok(moved.every(({ lane }) => world.ownerOf(lane) === world.workers[3]?.incarnation));
  assert.equal(count(world, 'takeOver'), 0);
});

test('one worker becomes four and one again: each lane moves as seldom as possible', () => {
  const { world, workers, run } = settled({ lanes: 128 }, 'anna');
  const others = ['bert', 'cleo', 'dora'].map((name) => world.join(name));
  run(60_000);
  assert.deepEqual(owned(world.workers), [32, 32, 32, 32]);
  assert.equal(count(world, 'move'), 96);
  for (const other of others) other.stop();
  run(30_000);
  assert.deepEqual(owned(workers), [128]);
  assert.equal(count(world, 'move'), 192);
  assert.equal(count(world, 'left'), 3);
});

test('the lanes of a dead worker act again within ten seconds, by few records', () => {
  const { world, workers, run } = settled({ lanes: 128 }, 'anna', 'bert', 'cleo');
  const [anna] = workers;
  anna?.kill();
  run(10_000);
  assert.deepEqual(owned(workers), [0, 64, 64]);
  assert.equal(claims(world).length, 3 + 2);
});

test('a worker that was stopped for a minute acts on nothing when it continues', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert');
  const [anna, bert] = workers;
  const before = [...(anna?.lanes.keys() ?? [])];
  anna?.pause(60_000, 'stopped');
  run(59_000);
  assert.equal(bert?.lanes.size, 12);
  assert.ok(before.every((lane) => anna?.mayAct(lane) === false));
  run(1_500);
  assert.ok(before.every((lane) => anna?.mayAct(lane) === false));
  run(20_000);
  assert.deepEqual(owned(workers), [6, 6]);
  assert.ok(count(world, 'lose') >= 6);
});

test('a broker is away for seven seconds: nobody claims, nothing moves', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert', 'cleo');
  const before = count(world, 'claimed');
  world.stall(7_000);
  run(30_000);
  assert.equal(count(world, 'claimed'), before);
  assert.deepEqual(owned(workers), [4, 4, 4]);
});

test('a worker that comes back under its name while the old one is still believed alive shares with the others', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert');
  workers[0]?.kill();
  run(1_000);
  world.join('anna');
  run(30_000);
  assert.deepEqual(owned(world.workers), [0, 6, 6]);
});

test('two workers of one name are two members', () => {
  const { workers } = settled({}, 'anna', 'anna', 'anna');
  assert.deepEqual(owned(workers), [4, 4, 4]);
});

test('a lane that its owner cannot read goes to another one', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert');
  const [anna] = workers;
  const [sick = -1] = anna?.lanes.keys() ?? [];
  anna?.sick.add(sick);
  // It may fail for 30 s, then the others wait. In the meantime it is nobody's fault that it does not work.
  world.disturb(world.nowMs + 45_000);
  run(30_000 + 9_000 + 3_000);
  assert.equal(world.ownerOf(sick), workers[1]?.incarnation);
  run(10_000);
  assert.notEqual(world.ownerOf(sick), anna?.incarnation);
});

test('a lane that was given up is not taken back for a while', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert');
  const [anna, bert] = workers;
  const [bad = -1] = anna?.lanes.keys() ?? [];
  anna?.act(anna.member.giveUp(reignOf(anna, bad), 'halted', anna.now()));
  assert.equal(anna?.mayAct(bad), false);
  run(5_000);
  assert.equal(world.ownerOf(bad), bert?.incarnation);
  bert?.act(bert.member.giveUp(reignOf(bert, bad), 'halted', bert.now()));
  world.disturb(world.nowMs + 1e9);
  run(30_000);
  assert.equal(world.ownerOf(bad), undefined);
  assert.deepEqual(bert?.member.free(bert.now()), [bad]);
});

test('a lane whose journal knows a higher epoch begins again above it', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert');
  const [anna] = workers;
  const [lane = -1] = anna?.lanes.keys() ?? [];
  anna?.act(anna.member.outdated(reignOf(anna, lane), 41, anna.now()));
  assert.equal(anna?.mayAct(lane), false);
  run(1_000);
  assert.equal(anna?.lanes.get(lane)?.epoch, 42);
  assert.equal(anna?.mayAct(lane), true);
  assert.equal(world.ownerOf(lane), anna?.incarnation);
});

test('lanes beyond the budget stay without an owner', () => {
  const { world, workers, run } = settled({ recipientBudget: 65 }, 'anna', 'bert');
  assert.deepEqual(owned(workers), [6, 6]);
  workers[0]?.kill();
  run(5_000);
  world.disturb(world.nowMs + 1e9);
  run(20_000);
  assert.deepEqual(owned(workers), [0, 6]);
  assert.ok(count(world, 'refuse') >= 1);
  world.join('cleo');
  run(30_000);
  assert.deepEqual(owned(world.workers), [0, 6, 6]);
});

test('a lane table that not all know yet: no lane goes to and fro, the new lanes are taken', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert');
  const [anna, bert] = workers;
  bert?.member.tableChanged(2, 24);
  run(40_000);
  assert.equal(anna?.lanes.size, 6);
  assert.equal(bert?.lanes.size, 18);
  assert.equal(count(world, 'drain'), 0);
  anna?.member.tableChanged(2, 24);
  run(40_000);
  assert.deepEqual(owned(workers), [12, 12]);
  assert.equal(count(world, 'drain'), 6);
});

test('a topic that was made anew: all lanes are given up, waited for, and shared again', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert');
  const before = workers[0]?.member.fold.logId;
  world.recreate();
  run(1_500);
  assert.deepEqual(owned(workers), [0, 0]);
  // What they wrote before they noticed shows that somebody lives who may own lanes.
  world.disturb(world.nowMs + 9_000);
  run(25_000);
  assert.deepEqual(owned(workers), [6, 6]);
  assert.equal(workers[0]?.member.fold.logId, workers[1]?.member.fold.logId);
  assert.notEqual(before, undefined);
});

test('a topic that was made anew and has outgrown the reader is noticed by its name', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert');
  const [anna, bert] = workers;
  const before = world.records.length;
  anna?.pause(50_000, 'stopped');
  run(15_000);
  world.recreate();
  bert?.kill();
  world.join('cleo');
  world.join('dora');
  run(34_000);
  assert.ok(world.records.length > before);
  assert.equal(world.ownerOf(0) !== undefined, true);
  run(20_000);
  assert.deepEqual(owned(world.workers), [4, 0, 4, 4]);
  assert.equal(new Set(world.alive().map(({ member }) => member.fold.logId)).size, 1);
});

test('the log stays short: it is trimmed two snapshots back', () => {
  const { world, run } = settled({ lanes: 64 }, 'anna', 'bert', 'cleo', 'dora');
  let longest = 0;
  for (let minute = 0; minute < 5; minute++) {
    run(60_000);
    longest = Math.max(longest, world.records.length - world.low);
  }
  // Snapshots come each 10 s here: at most three spans of four renewals a second.
  assert.ok(longest < 3 * 10 * 4 * 1.2, `${longest} records`);
});

test('a log that lost its snapshots gets no second beginning while somebody lives', () => {
  const { world, workers, run } = settled({}, 'anna', 'bert');
  world.low = world.records.length;
  const cleo = world.join('cleo');
  run(4_000);
  assert.equal(cleo.lanes.size, 0);
  run(30_000);
  assert.deepEqual(owned(world.workers), [4, 4, 4]);
  assert.equal(cleo.member.fold.logId, workers[0]?.member.fold.logId);
});

test('a log without snapshots and without anybody gets a new beginning', () => {
  const { world, workers, run } = settled({}, 'anna');
  workers[0]?.kill();
  world.low = world.records.length - 1;
  const bert = world.join('bert');
  world.disturb(world.nowMs + 10_000);
  run(25_000);
  assert.equal(bert.lanes.size, 12);
});

test('a worker is leased while its renewals come back, lanes or not', () => {
  const { workers, run } = settled({ lanes: 1 }, 'anna', 'bert');
  const leased = () => workers.map((worker) => worker.member.isLeased(worker.now()));
  assert.deepEqual(owned(workers).sort(), [0, 1]);
  assert.deepEqual(leased(), [true, true]);
  workers[0]?.cut('writes', 20_000);
  run(8_000);
  assert.deepEqual(leased(), [false, true]);
});

test('a worker that is full still takes what fits when nobody else does', () => {
  const { world, workers, run } = settled({ recipientBudget: 115 }, 'anna', 'bert');
  const [anna, bert] = workers;
  const [big = -1] = anna?.lanes.keys() ?? [];
  anna?.sick.add(big);
  anna?.member.alive(reignOf(anna, big), { watermark: 0, recipients: 1_000 }, anna.now());
  run(1_500);
  anna?.kill();
  world.disturb(world.nowMs + 1e9);
  run(20_000);
  assert.equal(bert?.lanes.size, 11);
  assert.equal(world.ownerOf(big), anna?.incarnation);
  assert.ok(count(world, 'refuse') > 0);
});

/** Half a second of a worker that is alone with its log, from its start on; what it began. */
function liveAlone(records: LeaseRecord[], incarnation: string, startMs: number): number[] {
  const at = (ms: number) => ({ monotonicMs: ms, wallMs: startMs + ms });
  const member = createLeaseMember({
    worker: 'anna',
    incarnation,
    logId: `log of ${incarnation}`,
    address: '',
    laneCount: 4,
    laneTableVersion: 1,
    recipientBudget: 1_000,
    drainsAtOnce: 1,
    isAlone: true,
    now: at(0),
  });
  const begun: number[] = [];
  let position = 0;
  const readOn = (ms: number): void => {
    const batch = records.slice(position);
    position = records.length;
    if (batch.length > 0) play(member.read(batch, at(ms)), ms);
  };
  function play(actions: readonly LeaseAction[], ms: number): void {
    for (const action of actions) {
      if (action.do === 'catchUp') member.caughtUp(action.token);
      if (action.do === 'begin') begun.push(action.lane);
      if (action.do !== 'append') continue;
      for (const kind of action.kinds) records.push({ offset: records.length, appendedAtMs: startMs + ms, kind });
      member.settled(action.id);
    }
    readOn(ms);
  }
  play(member.reading(0, at(0)), 0);
  for (let ms = 50; ms <= 500; ms += 50) play(member.tick(at(ms)), ms);
  assert.ok([...member.fold.lanes.values()].every((reign) => member.mayStart(reign, at(501))));
  return begun;
}

test('alone behind a lock nobody is waited for, at the first start and after a kill', () => {
  const records: LeaseRecord[] = [];
  assert.deepEqual(liveAlone(records, 'anna/1', 1e12), [0, 1, 2, 3]);
  assert.deepEqual(liveAlone(records, 'anna/2', 1e12 + 600), [0, 1, 2, 3]);
  assert.deepEqual(liveAlone(records, 'anna/3', 1e12 + 86_400_000), [0, 1, 2, 3]);
});

test('a snapshot that contradicts the state halts its reader, which acts no more', () => {
  const { world, workers } = settled({}, 'anna', 'bert');
  const [anna] = workers;
  assert.ok(anna);
  const [lane = -1] = anna.lanes.keys();
  assert.ok(anna.mayAct(lane));
  const value = anna.member.fold.snapshot({
    worker: 'x',
    incarnation: 'x',
    logId: anna.member.fold.logId,
    sequence: 1,
    seen: anna.member.fold.seen,
    seenAtMs: anna.member.fold.seenAtMs,
  });
  const wrong = { ...value, lanes: value.lanes.map((said) => ({ ...said, owner: 'nobody' })) };
  const record = { offset: world.records.length, appendedAtMs: 1e9, kind: { $case: 'leaseSnapshot', value: wrong } as const };
  const actions = anna.member.read([record], anna.now());
  assert.equal(actions.at(-1)?.do, 'halt');
  assert.equal(anna.mayAct(lane), false);
  assert.deepEqual(anna.member.tick(anna.now()), []);
});

test('a reader that starts at any snapshot comes to the same state', () => {
  const { world, run } = settled({}, 'anna', 'bert');
  world.join('cleo');
  run(60_000);
  const state = (from: number): unknown => {
    const fold = createLeaseFold(from);
    for (const record of world.records.slice(from)) fold.apply(record);
    return [...fold.lanes.values()].sort((one, other) => one.lane - other.lane);
  };
  const starts = world.records.flatMap(({ kind }) => (kind.$case === 'leaseSnapshot' ? [kind.value.writer?.seen ?? 0] : []));
  assert.ok(starts.length > 4);
  for (const start of starts) assert.deepEqual(state(start), state(0));
});
