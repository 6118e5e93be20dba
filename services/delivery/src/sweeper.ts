import type { Projection } from './accounting/projection.ts';
import type { Core } from './core.ts';

/** Contents that ingress, routing and notifications write for several lanes. */
const SHARED = 'shared/';
const LANE = 'lane/';
/** A content is stored before its record is: by this much at most. */
const MARGIN_MS = 3_600_000;

/** Shared contents that a live record names. */
function namedKeys({ lanes }: Core): ReadonlySet<string> {
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
async function readToEnds({ deps, lanes }: Core): Promise<void> {
  for (const lane of lanes) {
    const { low, high } = await deps.log.marks('mail.lane', lane.number);
    if (high > low) await lane.readTo(high - 1);
  }
}

/** A copy that a lane made for a message that is not live in it. */
function isOrphan({ lanes }: Core, key: string): boolean {
  const [, number, queueId] = /^lane\/(\d+)\/([0-9A-Za-z]+)$/.exec(key) ?? [];
  const lane = lanes[Number(number)];
  return queueId !== undefined && lane?.state === 'live' && !lane.fold.messages.has(queueId);
}

/**
 * Deletes contents that nobody needs: shared ones by age, never one that an unrouted, dead or live record names; and copies of
 * lanes that a crash left behind. Does nothing unless all lanes are read, since another one may name what it finds.
 */
export async function sweepBlobs(core: Core, projection: Projection): Promise<void> {
  const { blobs, clock, config } = core.deps;
  if (core.lanes.some(({ state }) => state !== 'live')) return;
  const nowMs = clock.nowMs();
  const beforeMs = Math.min(nowMs - config.delivery.sharedBlobMs, (await unroutedSinceMs(core, projection)) - MARGIN_MS);
  await readToEnds(core);
  const named = namedKeys(core);
  for await (const { key, storedAtMs } of blobs.list(SHARED)) {
    if (storedAtMs >= beforeMs || named.has(key)) continue;
    await blobs.delete(key);
    core.meters.swept.inc();
  }
  for await (const { key, storedAtMs } of blobs.list(LANE)) {
    if (storedAtMs < nowMs - MARGIN_MS && isOrphan(core, key)) await blobs.delete(key);
  }
}
