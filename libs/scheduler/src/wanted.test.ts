import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { askedWorkers, type ScalingTerms, type Wanted, type WorkLoad, wantedWorkers } from './wanted.ts';

const TERMS: ScalingTerms = {
  ...{ minWorkers: 1, maxWorkers: 20, lanes: 16, usefulPerWorker: 1000, heldPerWorker: 10_000 },
  ...{ patienceMs: 60_000, scaleInAfterMs: 300_000 },
};
const NOTHING: WorkLoad = { useful: 0, oldestMs: 0, held: 0, workers: 1 };

const CASES: readonly (readonly [string, Partial<WorkLoad>, number])[] = [
  ['nothing to do wants the least', {}, 1],
  ['work for one and a half wants two', { useful: 1500 }, 2],
  ['work for a hundred wants as many as there are lanes', { useful: 100_000 }, 16],
  ['a long queue that is not due wants memory only', { held: 45_000 }, 5],
  ['mail that is due for too long wants one more than there are', { useful: 10, oldestMs: 60_001, workers: 3 }, 4],
  ['mail that is held back by its receiver alone wants nobody', { useful: 0, oldestMs: 3_600_000, workers: 3 }, 1],
];
for (const [what, load, wanted] of CASES) {
  test(`wanted workers: ${what}`, () => assert.equal(askedWorkers({ ...NOTHING, ...load }, TERMS), wanted));
}

test('more are wanted at once, fewer one by one, each after the whole time', () => {
  let wanted = wantedWorkers(undefined, { ...NOTHING, useful: 500 }, TERMS, 0);
  wanted = wantedWorkers(wanted, { ...NOTHING, useful: 3500 }, TERMS, 1000);
  assert.equal(wanted.workers, 4);
  const seen: (readonly [number, number])[] = [];
  for (let nowMs = 2000; nowMs <= 2_000_000; nowMs += 1000) {
    const next = wantedWorkers(wanted, NOTHING, TERMS, nowMs);
    if (next.workers !== wanted.workers) seen.push([next.workers, nowMs]);
    wanted = next;
  }
  assert.deepEqual(seen, [
    [3, 302_000],
    [2, 602_000],
    [1, 902_000],
  ]);
});

test('a burst in the meantime starts the time anew', () => {
  let wanted: Wanted = { workers: 4 };
  wanted = wantedWorkers(wanted, NOTHING, TERMS, 0);
  wanted = wantedWorkers(wanted, { ...NOTHING, useful: 3500 }, TERMS, 299_000);
  wanted = wantedWorkers(wanted, NOTHING, TERMS, 300_000);
  assert.equal(wantedWorkers(wanted, NOTHING, TERMS, 599_000).workers, 4);
  assert.equal(wantedWorkers(wanted, NOTHING, TERMS, 600_000).workers, 3);
});

const load = fc.record({
  useful: fc.nat(200_000),
  oldestMs: fc.nat(200_000),
  held: fc.nat(1_000_000),
  workers: fc.integer({ min: 0, max: 20 }),
});

test('the number is whole, within its bounds, and never lower for more load', () => {
  fc.assert(
    fc.property(load, load, (a, b) => {
      const more = { useful: a.useful + b.useful, oldestMs: a.oldestMs + b.oldestMs, held: a.held + b.held, workers: a.workers };
      const [few, many] = [askedWorkers(a, TERMS), askedWorkers(more, TERMS)];
      assert.ok(Number.isInteger(few) && few >= 1 && few <= 16);
      assert.ok(many >= few);
    }),
  );
});

test('whatever comes, the number falls by one at most, and never twice within the time', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(load, fc.integer({ min: 1, max: 400_000 })), { maxLength: 60 }), (steps) => {
      let wanted: Wanted | undefined;
      let nowMs = 0;
      let fellAtMs = Number.NEGATIVE_INFINITY;
      for (const [now, afterMs] of steps) {
        nowMs += afterMs;
        const next = wantedWorkers(wanted, now, TERMS, nowMs);
        if (wanted !== undefined && next.workers < wanted.workers) {
          assert.equal(next.workers, wanted.workers - 1);
          assert.ok(nowMs - fellAtMs >= TERMS.scaleInAfterMs);
          fellAtMs = nowMs;
        }
        wanted = next;
      }
    }),
  );
});
