import type { Lane } from '../lane/lane.ts';
import { reasonOf } from '../pause.ts';
import { type Owning, reignOf } from './state.ts';

const TELL_EVERY_MS = 1_000;
const LOOK_EVERY_MS = 5_000;
/** An end that was seen this long ago says nothing about now. */
const STALE_MS = 3 * LOOK_EVERY_MS;

/** What was last seen of a lane. */
interface Sight {
  position: number;
  appended: number;
  /** End of its journal, and when that was asked for. */
  end: number;
  endAtMs: number;
  isLooking: boolean;
}

/** Tells the member which lanes work; one that cannot be read or written is then left to others. */
export interface Lives {
  tell(): void;
}

/** The end of a journal is asked for only where others could take the lane. */
async function look({ core, now }: Owning, lane: Lane, sight: Sight): Promise<void> {
  const askedAtMs = now().monotonicMs;
  if (sight.isLooking || askedAtMs - sight.endAtMs < LOOK_EVERY_MS) return;
  sight.isLooking = true;
  try {
    sight.end = (await core.deps.log.marks('mail.lane', lane.number)).high;
    sight.endAtMs = askedAtMs;
  } catch (error) {
    core.deps.logger.warn({ lane: lane.number, reason: reasonOf(error) }, 'delivery.lane.end_unknown');
  } finally {
    sight.isLooking = false;
  }
}

function isWorking(lane: Lane, sight: Sight, nowMs: number): boolean {
  const { fold, queue } = lane;
  const hasRead = fold.position > sight.position;
  const isAtEnd = fold.position >= sight.end && nowMs - sight.endAtMs < STALE_MS;
  const isWritable = queue.pending === 0 || queue.appended > sight.appended;
  Object.assign(sight, { position: fold.position, appended: queue.appended });
  return lane.state === 'replaying' ? hasRead || (isAtEnd && isWritable) : (hasRead || isAtEnd) && isWritable;
}

export function createLives(owning: Owning): Lives {
  const { core, member, isAlone, now } = owning;
  const sights = new WeakMap<Lane, Sight>();
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return {
    tell() {
      const at = now();
      if (at.monotonicMs - toldAtMs < TELL_EVERY_MS) return;
      toldAtMs = at.monotonicMs;
      for (const lane of core.lanes) {
        const sight = sights.get(lane) ?? { position: -1, appended: 0, end: 0, endAtMs: Number.NEGATIVE_INFINITY, isLooking: false };
        sights.set(lane, sight);
        if (!isAlone) void look(owning, lane, sight);
        if (isAlone || isWorking(lane, sight, at.monotonicMs)) member.alive(reignOf(lane), lifeOf(lane), at);
      }
    },
  };
}

export const lifeOf = ({ watermark, fold }: Lane) => ({ watermark, recipients: fold.liveRecipients });
