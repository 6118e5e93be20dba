import assert from 'node:assert/strict';
import { test } from 'node:test';
import { live } from './fixtures/life.ts';
import type { Plant } from './fixtures/model.ts';

const SEEDS_UNTIL_FOUND = 600;

const PLANTS: Readonly<Record<string, { readonly plant: Plant; readonly shows: RegExp }>> = {
  'a lease that runs from when the renewal was read back': { plant: { leaseFromReceipt: true }, shows: /may act/ },
  'a lease longer than the wait': { plant: { terms: { leaseMs: 10_000 } }, shows: /may act/ },
  'a wait that is too short': { plant: { terms: { waitMs: 5_000 } }, shows: /may act/ },
  'a lease by the monotonic clock alone': { plant: { ignoresWall: true }, shows: /may act/ },
  'claims that hold whatever the owner wrote meanwhile': { plant: { claimsBlindly: true }, shows: /may act/ },
  'silence that counts while own renewals stall': { plant: { terms: { cadenceMs: 1e9 } }, shows: /was in touch/ },
  'a process that stood still and does not look first': { plant: { terms: { stallMs: 1e9 } }, shows: /after its outcome was durable/ },
  'a lane that moves without a word about what is in doubt': { plant: { forgetsDoubt: true }, shows: /nothing had befallen/ },
  'a final dot without a last look': { plant: { looksNotBack: true }, shows: /after its outcome was durable/ },
  'late copies of renewals that count': { plant: { copiesCount: true }, shows: /no owner that acts/ },
};

for (const [mistake, { plant, shows }] of Object.entries(PLANTS))
  test(`the model finds ${mistake}`, () => {
    for (let seed = 1; seed <= SEEDS_UNTIL_FOUND; seed++)
      if (live(seed, { plant, hasJournals: true }).faults.some((fault) => shows.test(fault))) return;
    assert.fail('not found');
  });
