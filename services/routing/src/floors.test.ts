import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createFloor } from './floors.ts';

test('the floor stays the lag behind, and is 0 until something is that old', () => {
  const floor = createFloor(1000);
  floor.note(0, 5);
  floor.note(500, 9);
  assert.equal(floor.at(999), 0);
  assert.equal(floor.at(1000), 5);
  assert.equal(floor.at(1499), 5);
  assert.equal(floor.at(1500), 9);
});

test('a commit that is not beyond the last one changes nothing', () => {
  const floor = createFloor(1000);
  floor.note(0, 5);
  floor.note(900, 5);
  floor.note(950, 3);
  assert.equal(floor.at(10_000), 5);
});

test('with no lag the floor is the last commit', () => {
  const floor = createFloor(0);
  floor.note(10, 5);
  floor.note(10, 6);
  assert.equal(floor.at(10), 6);
});

test('no floor passes a record younger than the lag, none goes back, and it is at most a little further behind than it must be', () => {
  const LAG = 3200;
  const steps = fc.array(fc.record({ waitMs: fc.nat({ max: 2000 }), records: fc.integer({ min: 1, max: 5 }) }), {
    minLength: 1,
    maxLength: 200,
  });
  fc.assert(
    fc.property(steps, (batches) => {
      const floor = createFloor(LAG);
      const appended: number[] = [];
      let nowMs = 0;
      let last = 0;
      for (const { waitMs, records } of batches) {
        nowMs += waitMs;
        floor.note(nowMs, appended.length);
        const at = floor.at(nowMs);
        assert.ok(at >= last);
        for (const appendedAtMs of appended.slice(0, at)) assert.ok(appendedAtMs <= nowMs - LAG);
        const wellBehind = appended.filter((appendedAtMs) => appendedAtMs < nowMs - LAG - LAG / 32 - 2000).length;
        assert.ok(at >= wellBehind);
        last = at;
        for (let count = 0; count < records; count++) appended.push(nowMs);
      }
    }),
  );
});
