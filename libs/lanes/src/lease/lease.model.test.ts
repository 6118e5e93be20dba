import assert from 'node:assert/strict';
import { test } from 'node:test';
import { live } from './fixtures/life.ts';

const SEEDS = 2_000;
const only = Number(process.env.SEED ?? 0);

// Each seed draws the company and its mail, pauses, cuts, deaths, clock jumps, stalls of the broker and late copies. `SEED=n`
// lives one of them again.
test('no lane has two owners that act or stays without one, and no mail is lost, or doubled without need', () => {
  const counts = new Map<string, number>();
  for (let seed = only || 1; seed <= (only || SEEDS); seed++) {
    const { faults, tally } = live(seed, { hasJournals: true });
    assert.deepEqual(faults, [], `SEED=${seed}`);
    for (const [what, count] of tally) counts.set(what, (counts.get(what) ?? 0) + count);
  }
  if (only > 0) return;
  for (const what of ['takeOver', 'move', 'lose', 'left', 'trim'])
    assert.ok((counts.get(what) ?? 0) > SEEDS / 4, `only ${counts.get(what) ?? 0} ${what}: this simulates too little`);
});
