import type { Notification } from '@angarium/lanes';
import type { Dsn } from '@angarium/message';
import { type Content, encodeRecord } from '@angarium/records';
import { ContentMissing } from '../contents.ts';
import type { Core } from '../core.ts';
import type { Lane } from '../lane/lane.ts';
import { backoffMs, pause, reasonOf } from '../pause.ts';
import { acceptNotification, buildNotification } from './dsn.ts';

/**
 * Second and third step of the hand-over of a notification: the outcome that asks for it is durable; now it becomes mail, and
 * then its lane is told. Whatever is repeated after a crash carries the same id and makes it once.
 */
export interface Notifier {
  /** The lane's fold asks for it. */
  ask(lane: Lane, notifyId: string): void;
  stop(): void;
}

const BULK = 'mail.in.bulk';

/** The same partition at each repeat: on another one it would be mail twice. */
function partitionOf(notifyId: string, partitions: number): number {
  let sum = 0;
  for (let at = 0; at < notifyId.length; at++) sum = (sum * 31 + notifyId.charCodeAt(at)) % 65_521;
  return sum % partitions;
}

async function readOriginal(core: Core, lane: Lane, { message, queueId }: Notification): Promise<Uint8Array> {
  try {
    return await core.contents.read(lane.number, message);
  } catch (error) {
    if (!(error instanceof ContentMissing)) throw error;
    // The sender is told all the same: what is gone cannot be returned.
    core.meters.ownFaults.inc({ fault: 'blob' });
    core.deps.logger.error({ queueId, reason: error.message }, 'delivery.original.missing');
    return new Uint8Array(0);
  }
}

async function place(core: Core, notifyId: string, { content }: Dsn): Promise<Content> {
  const octets = content.length;
  if (octets <= core.deps.config.delivery.notifyInlineOctets)
    return { place: { $case: 'inline', value: Buffer.from(content.buffer, content.byteOffset, octets) }, octets, laneBlob: false };
  const key = `shared/${notifyId}`;
  await core.deps.blobs.put(key, content);
  return { place: { $case: 'blobKey', value: key }, octets, laneBlob: false };
}

/** Makes the notification mail. Nothing to do where a later fact overtook it. */
async function handOver(core: Core, lane: Lane, notifyId: string): Promise<void> {
  const asked = lane.fold.notification(notifyId);
  if (asked === undefined) return;
  const { log, config, clock, logger } = core.deps;
  const original = await readOriginal(core, lane, asked);
  const current = lane.fold.notification(notifyId);
  if (current === undefined) return;
  const nowMs = clock.nowMs();
  const dsn = buildNotification(current, { config, notifyId, nowMs, original });
  const content = await place(core, notifyId, dsn);
  if (!core.mayAct(lane)) throw new Error(`the lease of lane ${lane.number} is not valid`);
  const laneTableVersion = current.laneTableVersion || core.laneTableVersion();
  const accepted = acceptNotification(current, dsn, { notifyId, nowMs, hostname: config.hostname, content, laneTableVersion });
  await log.append(BULK, partitionOf(notifyId, log.partitions(BULK)), [encodeRecord({ $case: 'accepted', value: accepted })]);
  const { queueId } = current;
  core.meters.notifications.inc();
  logger.info({ queueId, notifyId, to: current.message.envelope.reversePath }, 'delivery.notification.handed_over');
  await lane.append({ $case: 'notified', value: { queueId, notifyId } });
}

export function createNotifier(core: Core): Notifier {
  const { clock, logger, config } = core.deps;
  const stopping = new AbortController();
  /** First in, first out. */
  const waiting = new Set<{ readonly lane: Lane; readonly notifyId: string }>();
  let active = 0;

  const work = async (lane: Lane, notifyId: string): Promise<void> => {
    for (let failures = 0; !stopping.signal.aborted && lane.state === 'live'; failures++) {
      try {
        if (core.mayAct(lane)) {
          await handOver(core, lane, notifyId);
          return;
        }
      } catch (error) {
        if (stopping.signal.aborted) return;
        core.meters.ownFaults.inc({ fault: 'notify' });
        logger.error({ notifyId, lane: lane.number, reason: reasonOf(error) }, 'delivery.notification.failed');
      }
      await pause(clock, backoffMs(failures, config.delivery.appendMaxRetryMs), stopping.signal);
    }
  };
  const next = (): void => {
    while (active < config.delivery.notifyConcurrency) {
      const [one] = waiting;
      if (one === undefined) return;
      waiting.delete(one);
      active++;
      void work(one.lane, one.notifyId).finally(() => {
        active--;
        next();
      });
    }
  };
  return {
    ask(lane, notifyId) {
      waiting.add({ lane, notifyId });
      next();
    },
    stop() {
      stopping.abort();
      waiting.clear();
    },
  };
}
