import assert from 'node:assert/strict';
import { test } from 'node:test';
import { live } from './fixtures/life.ts';

const SEEDS = 2_000;
const only = Number(process.env.SEED ?? 0);

test('no lane has two owners that act, none stays without, none moves without need', () => {
  for (let seed = only || 1; seed <= (only || SEEDS); seed++) {
    const { faults } = live(seed);
    assert.deepEqual(faults, [], `SEED=${seed}`);
  }
});
