import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Log } from '@angarium/log';
import { decodeRecord, type Kind } from '@angarium/records';
import { simulateCluster } from './life.ts';
import type { Found, Share } from './life-worker.ts';

const SEEDS = 80;
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

// Each seed draws letters, hosts and what happens to up to four workers in two minutes: kills, stops that are cut short or not,
// processes that stand still, cut reads or writes, a log that stalls, fails, or writes late copies. It ends with the mail count.
// `SEED=n` lives one of them again.
test(`${only > 0 ? `seed ${only}` : `${SEEDS} lives`} of clusters: no mail is lost, no lane has two masters, no reply is forgotten`, async () => {
  if (only > 0) {
    assert.deepEqual((await simulateCluster(only)).faults, []);
    return;
  }
  const shares = Array.from({ length: WORKERS }, (_, index) => runShare({ first: index + 1, last: SEEDS, step: WORKERS }));
  const found = await Promise.all(shares);
  assert.deepEqual(
    found.flatMap(({ faults }) => faults),
    [],
  );
  const tallies = found.flatMap((share) => share.tallies);
  for (const name of ['letters', 'claimed', 'moved', 'doubts', 'excused', 'trimmed'] as const) {
    const sum = tallies.reduce((total, tally) => total + tally[name], 0);
    assert.ok(sum > SEEDS, `only ${sum} ${name}: this simulates too little`);
  }
});

test('a seed gives the same life each time', async () => {
  assert.deepEqual(await simulateCluster(7), await simulateCluster(7));
});

const kindOf = (value: Uint8Array): Kind['$case'] | undefined => {
  const decoded = decodeRecord(value);
  return decoded.is === 'known' ? decoded.kind.$case : undefined;
};

/** A log that says that a record of this kind is durable and has forgotten it. */
function forgetting(log: Log, kind: Kind['$case'], share: number): Log {
  let count = 0;
  return {
    ...log,
    async append(topic, partition, values) {
      const isForgotten = topic === 'mail.lane' && values.some((value) => kindOf(value) === kind) && ++count % share === 0;
      return isForgotten ? (await log.marks(topic, partition)).high : log.append(topic, partition, values);
    },
  };
}

const PLANTED: Readonly<Record<string, (log: Log) => Log>> = {
  'forgets what was in doubt': (log) => forgetting(log, 'inDoubt', 1),
  'forgets an outcome now and then': (log) => forgetting(log, 'outcome', 5),
  'trims more than it was told': (log) => ({
    ...log,
    trim: async (topic, partition, below) => log.trim(topic, partition, Math.min(below + 2, (await log.marks(topic, partition)).high)),
  }),
};

for (const [what, plant] of Object.entries(PLANTED)) {
  test(`a log that ${what} is found out`, async () => {
    for (let seed = 1; seed <= 30; seed++) if ((await simulateCluster(seed, plant)).faults.length > 0) return;
    assert.fail('it was not');
  });
}
