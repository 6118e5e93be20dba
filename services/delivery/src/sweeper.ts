import type { LaneView, Projection } from './accounting/projection.ts';
import type { Core } from './core.ts';

/** Contents that ingress, routing and notifications write for several lanes. */
const SHARED = 'shared/';
const LANE = 'lane/';
/** A content is stored before its record is: by this much at most. */
const MARGIN_MS = 3_600_000;

/** Shared contents that a live record names. */
function namedKeys(lanes: readonly LaneView[]): ReadonlySet<string> {
  const keys = new Set<string>();
  for (const { fold } of lanes)
    for (const { content } of fold.messages.values()) if (content.in === 'blob' && !content.ownedByLane) keys.add(content.key);
  return keys;
}

/** What was stored before this instant is named by no record that is unrouted or dead. */
async function unroutedSinceMs(core: Core, projection: Projection): Promise<number> {
  const { log, clock } = core.deps;
  let sinceMs = clock.nowMs();
  for (const { topic, partition, firstDead } of projection.inputs) {
    const { low, high } = await log.marks(topic, partition);
    const committed = await log.committed('routing', topic, partition);
    const oldest = Math.max(low, Math.min(committed, firstDead));
    if (oldest >= high) continue;
    const [record] = await log.read(topic, partition, oldest, 1);
    sinceMs = Math.min(sinceMs, record?.appendedAtMs ?? 0);
  }
  return sinceMs;
}

/** What was routed before this call is then in the folds. */
async function readToEnds({ deps: { log } }: Core, lanes: readonly LaneView[]): Promise<void> {
  for (const lane of lanes) {
    const { low, high } = await log.marks('mail.lane', lane.number);
    if (high > low) await lane.readTo(high - 1);
  }
}

/** A copy that a lane made for a message that is not live in it. */
function isOrphan(lanes: readonly LaneView[], key: string): boolean {
  const [, number, queueId] = /^lane\/(\d+)\/([0-9A-Za-z]+)$/.exec(key) ?? [];
  const lane = lanes.find((one) => one.number === Number(number));
  return queueId !== undefined && lane !== undefined && !lane.fold.messages.has(queueId);
}

/**
 * Deletes contents that nobody needs: shared ones by age, never one that an unrouted, dead or live record names; and copies of
 * lanes that a crash left behind. Does nothing unless all lanes are read, since another one may name what it finds; and nothing
 * where another process counts, whose work it is.
 */
export async function sweepBlobs(core: Core, projection: Projection): Promise<void> {
  const { blobs, clock, config } = core.deps;
  const lanes = projection.views();
  const isOurs = () => core.lanes.some((lane) => lane.number === 0 && core.mayAct(lane));
  if (lanes === undefined) return;
  const nowMs = clock.nowMs();
  const beforeMs = Math.min(nowMs - config.delivery.sharedBlobMs, (await unroutedSinceMs(core, projection)) - MARGIN_MS);
  await readToEnds(core, lanes);
  const named = namedKeys(lanes);
  for await (const { key, storedAtMs } of blobs.list(SHARED)) {
    if (storedAtMs >= beforeMs || named.has(key) || !isOurs()) continue;
    await blobs.delete(key);
    core.meters.swept.inc();
  }
  for await (const { key, storedAtMs } of blobs.list(LANE)) {
    if (storedAtMs < nowMs - MARGIN_MS && isOrphan(lanes, key) && isOurs()) await blobs.delete(key);
  }
}
