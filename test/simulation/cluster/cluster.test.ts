import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createChance } from '../chance.ts';
import { type Cluster, type ClusterOptions, createCluster, DOMAINS, LANES } from './cluster.ts';
import type { WorkerProcess } from './process.ts';

const EVERY = DOMAINS.map((domain) => `x@${domain}`);
/** Until the first claims: nobody may be taken for dead before. */
const BEGIN_MS = 14_000;

async function createRunning(names: readonly string[], options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = createCluster(createChance(1), options);
  await cluster.start();
  for (const name of names) cluster.join(name);
  await cluster.time.pass(BEGIN_MS);
  return cluster;
}

/** The mail count, and that nobody rang. */
async function finish(cluster: Cluster): Promise<void> {
  const { truth } = cluster;
  for (const [queueId, recipients] of cluster.letters)
    for (const address of recipients) assert.ok(truth.taken(queueId, address) > 0, `${queueId} for ${address} was lost`);
  assert.deepEqual([...truth.faults, ...cluster.alarms, ...truth.unexplained()], []);
  await cluster.end();
}

const lanesOf = ({ truth }: Cluster, worker: WorkerProcess | undefined) => truth.lanesOf(worker?.incarnation ?? '').length;

test('the lanes of three workers are shared evenly, and all mail is delivered once', async () => {
  const cluster = await createRunning(['w1', 'w2', 'w3']);
  assert.deepEqual(
    cluster.workers.map((worker) => lanesOf(cluster, worker)),
    [LANES / 3, LANES / 3, LANES / 3],
  );
  await cluster.submit(EVERY);
  await cluster.time.pass(2_000);
  await finish(cluster);
  assert.equal(cluster.truth.tally.duplicates, 0);
});

test('a killed worker’s lanes deliver again within 15 s', async () => {
  const cluster = await createRunning(['w1', 'w2', 'w3']);
  const [, victim] = cluster.workers;
  victim?.kill();
  await cluster.submit(EVERY);
  await cluster.time.pass(15_000);
  await finish(cluster);
});

test('a worker that leaves has given its lanes away within 4 s, and nothing is delivered twice though replies take a minute', async () => {
  const cluster = await createRunning(['w1', 'w2'], { replyMs: () => 60_000 });
  await cluster.submit(EVERY);
  // Every dot is out, and no reply is in.
  await cluster.time.pass(5_000);
  const [leaving, staying] = cluster.workers;
  leaving?.stop();
  await cluster.time.pass(4_000);
  assert.equal(lanesOf(cluster, staying), LANES);
  assert.equal(leaving?.state, 'leaving');
  await cluster.time.pass(60_000);
  assert.equal(leaving?.state, 'gone');
  await cluster.time.pass(300_000);
  await finish(cluster);
  assert.ok(cluster.truth.tally.doubts > 0);
  assert.equal(cluster.truth.tally.duplicates, 0);
});

test('a worker that joins gets its share, while the lanes that stay deliver on', async () => {
  const cluster = await createRunning(['w1']);
  const joined = cluster.join('w2');
  for (let second = 0; second < 20; second++) {
    await cluster.submit([EVERY[second % EVERY.length] ?? '']);
    await cluster.time.pass(1000);
  }
  assert.equal(lanesOf(cluster, joined), LANES / 2);
  await cluster.time.pass(5_000);
  await finish(cluster);
  assert.equal(cluster.truth.tally.duplicates, 0);
});

test('a worker that stood still for a minute sends nothing for the lanes that it has lost', async () => {
  const cluster = await createRunning(['w1', 'w2'], { hosts: () => ({ latencyMs: 3000 }) });
  await cluster.submit(EVERY);
  // Its transactions are open, and no dot is out.
  await cluster.time.pass(1500);
  const [stopped, other] = cluster.workers;
  stopped?.life.pause(60_000);
  await cluster.time.pass(30_000);
  assert.equal(lanesOf(cluster, other), LANES);
  await cluster.time.pass(60_000);
  assert.equal(lanesOf(cluster, stopped), LANES / 2);
  await finish(cluster);
  assert.equal(cluster.truth.tally.duplicates, 0);
});

test('the count is kept by the owner of lane 0, whoever that is, and shows a stuck message within a minute', async () => {
  const cluster = await createRunning(['w1', 'w2', 'w3']);
  const counting = () => cluster.running().filter(({ delivery }) => delivery.accounting() !== undefined);
  await cluster.submit(EVERY);
  await cluster.time.pass(10_000);
  for (let round = 0; round < 2; round++) {
    const [counter] = counting();
    assert.equal(counting().length, 1);
    assert.equal(counter?.incarnation, cluster.truth.ownerOf(0));
    assert.deepEqual(
      [counter?.delivery.accounting()?.delivered, counter?.delivery.accounting()?.difference, counter?.delivery.accounting()?.queued],
      [(round + 1) * EVERY.length, 0, 0],
    );
    counter?.kill();
    await cluster.submit(EVERY);
    await cluster.time.pass(25_000);
  }
  await cluster.lose('x@d1.test');
  await cluster.time.pass(60_000);
  assert.equal(counting()[0]?.delivery.accounting()?.difference, 1);
  assert.ok(cluster.alarms.some((line) => line.startsWith('delivery.accounting.differed')));
  await cluster.end();
});

test('any worker tells who owns which lane, and which ones nobody can be asked about', async () => {
  const cluster = await createRunning(['w1', 'w2']);
  const [asked, other] = cluster.workers;
  const statesOf = async () => (await asked?.delivery.queue.lanes())?.lanes.map(({ worker, state }) => `${worker} ${state}`) ?? [];
  const counted = async () => Object.fromEntries([...Map.groupBy(await statesOf(), (one) => one)].map(([one, all]) => [one, all.length]));
  assert.deepEqual(await counted(), { 'w1 live': LANES / 2, 'w2 owned': LANES / 2 });
  assert.deepEqual((await asked?.delivery.queue.summary())?.recoveringLanes, []);
  const lost = cluster.truth.lanesOf(other?.incarnation ?? '');
  other?.kill();
  await cluster.time.pass(5_000);
  assert.deepEqual((await asked?.delivery.queue.list({ filter: undefined, limit: 0, pageToken: '' }))?.recoveringLanes, lost);
  assert.equal((await statesOf()).filter((one) => one === 'w2 recovering').length, lost.length);
  await cluster.time.pass(10_000);
  assert.deepEqual(await counted(), { 'w1 live': LANES });
  const { workers = [], lanes = [] } = (await asked?.delivery.queue.lanes()) ?? {};
  assert.deepEqual(
    workers.map(({ worker, lanes: count, address }) => [worker, count, address]),
    [['w1', LANES, 'w1.test:1']],
  );
  assert.ok(lanes.filter(({ lane }) => lost.includes(lane)).every(({ epoch }) => epoch === 2));
  await finish(cluster);
});

test('a lease log that was made anew costs a pause, and no mail', async () => {
  const cluster = await createRunning(['w1', 'w2']);
  await cluster.submit(EVERY);
  await cluster.time.pass(1_000);
  cluster.loseLeases();
  await cluster.submit(EVERY);
  await cluster.time.pass(30_000);
  for (const [queueId, recipients] of cluster.letters)
    for (const address of recipients) assert.equal(cluster.truth.taken(queueId, address), 1);
  const states = await Promise.all(cluster.workers.map(async ({ delivery }) => (await delivery.queue.lanes()).lanes));
  for (const lanes of states) assert.ok(lanes.every(({ state, epoch }) => (state === 'live' || state === 'owned') && epoch >= 2));
  await cluster.end();
});

test('a worker takes no lanes above its budget of recipients; they ring until another one comes', async () => {
  const cluster = await createRunning(['w1', 'w2'], {
    delivery: { recipientBudget: 8 },
    hosts: () => ({ deadToMs: Number.MAX_SAFE_INTEGER }),
  });
  await cluster.submit(EVERY);
  await cluster.time.pass(10_000);
  cluster.workers[1]?.kill();
  await cluster.time.pass(30_000);
  const owned = () => lanesOf(cluster, cluster.workers[0]);
  assert.ok(owned() < LANES);
  assert.ok(cluster.alarms.some((line) => line.startsWith('delivery.lane.refused')));
  cluster.join('w3');
  await cluster.time.pass(90_000);
  assert.equal(owned() + lanesOf(cluster, cluster.workers[2]), LANES);
  await cluster.end();
});

test('what is suspended is so everywhere within 2 s, also at a worker that stood still while the topic was trimmed', async () => {
  const cluster = await createRunning(['w1', 'w2']);
  const first = cluster.workers.find(({ incarnation }) => incarnation === cluster.truth.ownerOf(0));
  const second = cluster.workers.find((worker) => worker !== first);
  const scopesOf = async (worker: WorkerProcess | undefined) =>
    (await worker?.delivery.queue.suspensions())?.suspensions.map(({ scope }) => scope);
  await first?.delivery.queue.suspend({ scope: 'domain:d1.test', reason: '' });
  await cluster.time.pass(2_000);
  assert.deepEqual(await scopesOf(second), ['domain:d1.test']);
  second?.life.pause(30_000);
  await first?.delivery.queue.resume({ scope: 'domain:d1.test' });
  await first?.delivery.queue.suspend({ scope: 'domain:d2.test', reason: '' });
  for (let round = 0; round < 600; round++) {
    await first?.delivery.queue.suspend({ scope: 'domain:d3.test', reason: '' });
    await first?.delivery.queue.resume({ scope: 'domain:d3.test' });
  }
  await cluster.time.pass(29_000);
  assert.ok((await cluster.log.marks('mail.control', 0)).low > 1000);
  await cluster.time.pass(60_000);
  assert.deepEqual(await scopesOf(second), ['domain:d2.test']);
  await cluster.submit(EVERY);
  await cluster.time.pass(5_000);
  assert.equal(cluster.truth.taken(`M${'0'.repeat(25)}`, 'x@d2.test'), 0);
  await second?.delivery.queue.resume({ scope: 'domain:d2.test' });
  await cluster.time.pass(2_000);
  await finish(cluster);
});
