import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { hasBrokers, isExisting } from '../kafka/fixtures.ts';
import { hasS3 } from '../s3/server.ts';
import { faultsOf, runRow } from './judge.ts';
import { ROWS } from './rows.ts';
import { createWorld, type World } from './world.ts';

/* The short form of `npm run test:failures`: what happens to clusters most often. */
const SHORT = ['kill-delivery', 'kill-broker', 'rolling-services'];

if (!isExisting && hasBrokers('failures of a cluster') && hasS3('failures of a cluster')) {
  let world: World;
  before(async () => {
    world = await createWorld({ brokerCount: 3 });
  });
  after(() => world.close());

  for (const row of ROWS.filter(({ name }) => SHORT.includes(name)))
    test(`${row.title}: nothing is lost, copies stay within their bound, the count closes`, { timeout: 240_000 }, async (t) => {
      const result = await runRow(world, row);
      t.diagnostic(JSON.stringify({ ...result, lost: result.lost.length }));
      assert.deepEqual(faultsOf(row, result), []);
    });
}
