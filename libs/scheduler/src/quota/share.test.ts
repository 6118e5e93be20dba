import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fairShares } from './share.ts';
import { createSendWindow } from './window.ts';

const counts = fc.array(fc.nat({ max: 30 }), { maxLength: 12 });

test('shares add up to what there is or what is wanted, and nobody gets more than it wants', () => {
  fc.assert(
    fc.property(fc.nat({ max: 60 }), counts, (units, wants) => {
      const shares = fairShares(units, wants);
      const total = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0);
      assert.equal(total(shares), Math.min(units, total(wants)));
      assert.ok(shares.every((share, at) => share >= 0 && share <= (wants[at] ?? 0)));
    }),
  );
});

test('nobody who wants more has less than another one by more than one unit', () => {
  fc.assert(
    fc.property(fc.nat({ max: 60 }), counts, (units, wants) => {
      const shares = fairShares(units, wants);
      const largest = Math.max(0, ...shares);
      for (const [at, share] of shares.entries()) assert.ok(share === wants[at] || share >= largest - 1, `${shares} of ${wants}`);
    }),
  );
});

test('with a unit for each, nobody who wants something gets nothing', () => {
  assert.deepEqual(fairShares(4, [100, 1, 100, 100]), [1, 1, 1, 1]);
  assert.deepEqual(fairShares(10, [100, 1, 100]), [5, 1, 4]);
  assert.deepEqual(fairShares(2, [5, 5, 5]), [1, 1, 0]);
});

test('no window of any place has more than it may, and a free one is said to be free', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.nat({ max: 400 }), { maxLength: 300 }), (most, pauses) => {
      const window = createSendWindow(5);
      const times: number[] = [];
      let nowMs = 0;
      for (const pause of pauses) {
        nowMs += pause;
        const before = times.filter((time) => time > nowMs - 1_005);
        const waitMs = window.freeInMs(most, 1_000, nowMs);
        nowMs += waitMs;
        assert.equal(window.freeInMs(most, 1_000, nowMs), 0);
        window.begin();
        window.counted(1_000, nowMs);
        times.push(nowMs);
        const within = times.filter((time) => time > nowMs - 1_000);
        assert.ok(within.length <= most);
        assert.equal(waitMs > 0, before.length >= most);
      }
    }),
  );
});

test('with nothing granted nothing may be sent', () => {
  assert.equal(createSendWindow(0).freeInMs(0, 1_000, 5), Number.POSITIVE_INFINITY);
});

test('what is pending takes its place until it was counted, and a window from then on', () => {
  const window = createSendWindow(0);
  window.begin();
  assert.equal(window.freeInMs(2, 1_000, 0), 0);
  window.begin();
  assert.equal(window.freeInMs(2, 1_000, 5_000), Number.POSITIVE_INFINITY);
  window.counted(1_000, 6_000);
  assert.equal(window.freeInMs(2, 1_000, 6_100), 900);
  window.counted(1_000, 6_500);
  assert.equal(window.freeInMs(2, 1_000, 7_000), 0);
  assert.equal(window.freeInMs(1, 1_000, 7_000), 500);
});
