import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Found, Share } from './life-worker.ts';
import { simulate } from './simulate.ts';

const SEEDS = 1000;
const WORKERS = 2;
const only = Number(process.env.SEED ?? 0);

function runShare(share: Share): Promise<Found> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./life-worker.ts', import.meta.url), { workerData: share });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => code !== 0 && reject(new Error(`seeds from ${share.first} by ${share.step}: exit ${code}`)));
  });
}

// Each seed draws letters, hosts, faults of log, directory and mailbox, kills, restarts and lane tables of one life. It ends
// with the mail count. `SEED=n` lives one of them again.
test(`${only > 0 ? `seed ${only}` : `${SEEDS} lives`} end with every recipient accounted for`, async () => {
  if (only > 0) {
    assert.deepEqual((await simulate(only)).faults, []);
    return;
  }
  const shares = Array.from({ length: WORKERS }, (_, index) => runShare({ first: index + 1, last: SEEDS, step: WORKERS }));
  const found = await Promise.all(shares);
  assert.deepEqual(
    found.flatMap(({ faults }) => faults),
    [],
  );
  const tallies = found.flatMap((share) => share.tallies);
  const names = ['kept', 'refused', 'taken', 'moved', 'trimmed', 'orders', 'owners'] as const;
  for (const name of names) {
    const sum = tallies.reduce((total, tally) => total + tally[name], 0);
    assert.ok(sum > SEEDS / 4, `only ${sum} ${name}: this simulates too little`);
  }
  assert.ok(tallies.some(({ doubts }) => doubts > 0));
});

test('a seed gives the same life each time', async () => {
  assert.deepEqual(await simulate(7), await simulate(7));
});
