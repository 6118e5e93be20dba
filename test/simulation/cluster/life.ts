import { type Chance, createChance } from '../chance.ts';
import { type Cluster, type ClusterOptions, createCluster, DOMAINS, LANES } from './cluster.ts';
import type { WorkerProcess } from './process.ts';

const TROUBLE_MS = 120_000;
/** Longer than an in-doubt hold, which is the last thing that mail can wait for. */
const LONGEST_END_MS = 400_000;
const STEP_MS = 5_000;
const MOST_WORKERS = 4;

export interface LifeTally {
  readonly letters: number;
  readonly dots: number;
  readonly claimed: number;
  readonly moved: number;
  readonly doubts: number;
  readonly excused: number;
  readonly duplicates: number;
  readonly trimmed: number;
}

export interface LifeOutcome {
  /** What is wrong, in words; empty: every recipient is accounted for. */
  readonly faults: readonly string[];
  readonly tally: LifeTally;
}

interface Life {
  readonly cluster: Cluster;
  readonly chance: Chance;
  readonly faults: string[];
}

function drawRecipients(chance: Chance): readonly string[] {
  const names = ['x', 'y', 'bad'];
  return [...new Set(Array.from({ length: chance.between(1, 4) }, () => `${chance.pick(names)}@${chance.pick(DOMAINS)}`))];
}

function pickRunning({ cluster, chance }: Life): WorkerProcess | undefined {
  const running = cluster.running();
  return running.length === 0 ? undefined : chance.pick(running);
}

/** A name comes back as another process, as in a StatefulSet, sometimes while the old one is still there. */
function join({ cluster, chance }: Life): void {
  if (cluster.running().length < MOST_WORKERS) cluster.join(`w${chance.between(1, MOST_WORKERS)}`);
}

const MISFORTUNES: readonly ((life: Life) => void)[] = [
  (life) => {
    pickRunning(life)?.kill();
    life.cluster.time.world.after(life.chance.between(0, 20_000), () => join(life));
  },
  (life) => {
    const { cluster, chance } = life;
    const { workers } = cluster;
    if (workers.length > 0) chance.pick(workers).kill();
    join(life);
  },
  (life) => pickRunning(life)?.stop(),
  join,
  join,
  (life) => {
    const paused = pickRunning(life);
    const ms = life.chance.pick([200, 400, 3000, 7000, 20_000, 60_000]);
    paused?.life.pause(ms);
    // Who was given away before may be sent again when the reply is not written within the grace.
    if (paused !== undefined && ms >= 20_000) {
      const owned = life.cluster.truth.lanesOf(paused.incarnation);
      life.cluster.truth.excuse(paused.incarnation, (lane) => !owned.includes(lane));
    }
  },
  (life) => pickRunning(life)?.cut(life.chance.pick(['reads', 'writes']), life.chance.between(500, 20_000)),
  ({ cluster, chance }) => cluster.stall(chance.between(500, 9_000)),
];

async function live(life: Life): Promise<void> {
  const { cluster, chance } = life;
  const startMs = cluster.time.nowMs();
  const at: { readonly atMs: number; readonly run: () => unknown }[] = [];
  const add = (count: number, run: () => unknown) => {
    for (let left = count; left > 0; left--) at.push({ atMs: chance.between(0, TROUBLE_MS), run });
  };
  add(chance.between(10, 50), () => cluster.submit(drawRecipients(chance)).catch(() => {}));
  add(chance.between(2, 12), () => chance.pick(MISFORTUNES)(life));
  for (let first = chance.between(1, MOST_WORKERS); first > 0; first--) cluster.join(`w${first}`);
  for (const { atMs, run } of at.sort((one, other) => one.atMs - other.atMs)) {
    await cluster.time.pass(Math.max(0, startMs + atMs - cluster.time.nowMs()));
    // Not waited for: a slow log must not keep the world from turning.
    void run();
  }
}

const reportOf = ({ running }: Cluster) => running().flatMap(({ delivery }) => delivery.accounting() ?? []);

/** What is not as it should be once all is calm. */
function restlessness(cluster: Cluster): readonly string[] {
  const { truth } = cluster;
  const running = cluster.running();
  const reports = reportOf(cluster);
  const [report] = reports;
  const owned = running.map(({ incarnation }) => truth.lanesOf(incarnation).length);
  const faults: string[] = [];
  if (reports.length !== 1 || report?.queued !== 0 || report.difference !== 0) faults.push(`the count is ${JSON.stringify(reports)}`);
  if (owned.reduce((sum, count) => sum + count, 0) !== LANES) faults.push(`lanes are owned ${owned}`);
  if (Math.max(...owned) - Math.min(...owned) > 1) faults.push(`lanes are shared ${owned}`);
  for (const { delivery, incarnation } of running) faults.push(...delivery.notReady().map((text) => `${incarnation}: ${text}`));
  for (const { incarnation, state } of cluster.workers) if (state === 'leaving') faults.push(`${incarnation} has not left`);
  return faults;
}

function countMail({ letters, truth }: Cluster): readonly string[] {
  const faults: string[] = [];
  for (const [queueId, recipients] of letters)
    for (const address of recipients) {
      const isBad = address.startsWith('bad');
      const isDone = isBad ? truth.isConcluded(queueId, address) : truth.taken(queueId, address) > 0;
      if (!isDone) faults.push(`${queueId} for ${address} was lost`);
      if (isBad && truth.taken(queueId, address) > 0) faults.push(`${queueId} for ${address} was taken`);
    }
  return [...faults, ...truth.unexplained()];
}

/** What workers still hold of lanes that they gave away, and of mail that has ended. */
async function leftovers(cluster: Cluster): Promise<readonly string[]> {
  const summaries = await Promise.all(cluster.running().map(({ delivery }) => delivery.queue.summary()));
  return summaries.flatMap(({ sites, ...counts }) => {
    const waiting = sites.reduce((sum, { recipients, connections }) => sum + recipients + connections, 0);
    const held = counts.ready + counts.deferred + counts.active + counts.notifying;
    return waiting + held > 0 ? [`still held: ${JSON.stringify({ ...counts, waiting })}`] : [];
  });
}

async function end(life: Life): Promise<void> {
  const { cluster, faults } = life;
  cluster.calm();
  if (cluster.running().length === 0) cluster.join('w1');
  await cluster.time.pass(60_000);
  const unrest = async () => [...restlessness(cluster), ...(await leftovers(cluster))];
  for (let leftMs = LONGEST_END_MS; leftMs > 0 && (await unrest()).length > 0; leftMs -= STEP_MS) await cluster.time.pass(STEP_MS);
  faults.push(...(await unrest()), ...countMail(cluster), ...cluster.truth.faults, ...cluster.alarms);
}

function optionsOf(chance: Chance): ClusterOptions {
  const latencyMs = new Map(DOMAINS.map((domain) => [domain, chance.pick([10, 300, 3000])]));
  const replyMs = new Map(DOMAINS.map((domain) => [domain, chance.pick([0, 0, 1000, 20_000, 90_000])]));
  const losing = chance.hits(0.3) ? 0.1 : 0;
  return {
    replyMs: (domain) => replyMs.get(domain) ?? 0,
    trouble: chance.hits(0.7) ? chance.next() * 0.06 : 0,
    hosts: (domain) => ({ latencyMs: latencyMs.get(domain) ?? 0, losingAfterDot: losing, losingBeforeDot: losing, deferring: losing }),
  };
}

/** One life of a cluster, from its first worker until nothing is queued any more. */
export async function simulateCluster(seed: number, plant?: ClusterOptions['plant']): Promise<LifeOutcome> {
  const chance = createChance(seed);
  const cluster = createCluster(chance.fork(), { ...optionsOf(chance), ...(plant === undefined ? {} : { plant }) });
  const life: Life = { cluster, chance, faults: [] };
  await cluster.start();
  await live(life);
  await end(life);
  const { tally } = cluster.truth;
  const lanes = Array.from({ length: LANES }, (_, lane) => cluster.log.storage.partitions.get(`mail.lane/${lane}`)?.low ?? 0);
  await cluster.end();
  return { faults: life.faults, tally: { ...tally, letters: cluster.letters.size, trimmed: lanes.reduce((sum, low) => sum + low, 0) } };
}
