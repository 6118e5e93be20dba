import type { LiveMessage } from '@angarium/lanes';
import type { Content } from '@angarium/records';
import type { Core } from '../core.ts';
import { reasonOf } from '../pause.ts';
import type { Lane } from './lane.ts';

const AT_ONCE = 1000;
const WRITES_AT_ONCE = 8;
const QUIET_MS = 30 * 60_000;

const laneKey = (lane: Lane, queueId: string): string => `lane/${lane.number}/${queueId}`;

/** A shared blob lives only so long; who still needs it at half that age takes a copy. */
function isAging({ deps }: Core, { content, enqueuedAtMs }: LiveMessage): boolean {
  return content.in === 'blob' && !content.ownedByLane && deps.clock.nowMs() - enqueuedAtMs > deps.config.delivery.sharedBlobMs / 2;
}

/** Where the content will be found once its record is gone. Written by the lane to its own key, unless a blob will do. */
async function contentFor(core: Core, lane: Lane, message: LiveMessage): Promise<Content> {
  const { content, contentOctets: octets, queueId } = message;
  if (content.in === 'blob' && !isAging(core, message))
    return { place: { $case: 'blobKey', value: content.key }, octets, laneBlob: content.ownedByLane };
  const key = laneKey(lane, queueId);
  await core.deps.blobs.put(key, await core.contents.read(lane.number, message));
  return { place: { $case: 'blobKey', value: key }, octets, laneBlob: true };
}

async function move(core: Core, lane: Lane, message: LiveMessage): Promise<void> {
  const content = await contentFor(core, lane, message);
  const isLive = () => core.mayAct(lane) && lane.fold.messages.has(message.queueId);
  if (isLive()) {
    const records = lane.fold.moved(message, content);
    const offsets = await Promise.all(records.map((value) => lane.append({ $case: 'moved', value })));
    await lane.readTo(Math.max(...offsets));
    core.meters.moved.inc();
    core.deps.logger.debug({ queueId: message.queueId, lane: lane.number }, 'delivery.message.moved');
  }
  // It ended on the way, so nobody else will delete what was written for it.
  const isNamed = message.content.in === 'blob' && message.content.ownedByLane;
  if (!isLive() && !isNamed && content.laneBlob && content.place?.$case === 'blobKey') await core.deps.blobs.delete(content.place.value);
}

/**
 * Whether a replay from the low mark would be long, or this lane's oldest live message keeps much of a shared file. `low` is where
 * the lane was just trimmed to.
 */
function isFar(core: Core, lane: Lane, low: number): boolean {
  const { fold, progress } = lane;
  const { moveAfterRecords, moveAfterOctets, moveAfterHeldOctets } = core.deps.config.delivery;
  const from = fold.watermark();
  if (fold.position - from > Math.max(moveAfterRecords, 4 * fold.liveRecipients)) return true;
  if (progress.octetsSince(from) > moveAfterOctets) return true;
  return from <= low && core.deps.log.heldOctets('mail.lane', lane.number) > moveAfterHeldOctets;
}

/**
 * Rewrites at the tail what keeps the watermark back: the oldest messages, up to half of the way, and the floors. A content that
 * cannot be stored keeps its message where it is, and rings.
 */
export async function moveOldest(core: Core, lane: Lane, low: number): Promise<void> {
  const { fold } = lane;
  const isDistant = isFar(core, lane, low);
  const half = (fold.watermark() + fold.position) / 2;
  const chosen = fold.oldest(AT_ONCE).filter((message) => {
    const isFree = [...message.recipients.values()].every((recipient) => !core.flights.has(recipient));
    return isFree && ((isDistant && message.oldestOffset <= half) || isAging(core, message));
  });
  // The fold knows no clock but the records': in a quiet lane one has to come for what is kept for a time to grow old.
  const isQuiet = core.deps.clock.nowMs() - lane.progress.lastMs > QUIET_MS && fold.position > low;
  if (isDistant && (fold.floorsOffset <= half || isQuiet) && core.mayAct(lane))
    await lane.append({ $case: 'owner', value: fold.floorsRecord(core.deps.ownerName) });
  let trouble: unknown;
  const work = async () => {
    for (let message = chosen.shift(); message !== undefined && trouble === undefined; message = chosen.shift()) {
      try {
        if (core.mayAct(lane)) await move(core, lane, message);
      } catch (error) {
        trouble = error;
        core.meters.ownFaults.inc({ fault: 'blob' });
        core.deps.logger.error({ queueId: message.queueId, lane: lane.number, reason: reasonOf(error) }, 'delivery.message.not_moved');
      }
    }
  };
  await Promise.all(Array.from({ length: WRITES_AT_ONCE }, work));
}
