import type { LiveRecipient } from '@angarium/lanes';
import type { Core } from './core.ts';
import type { Lane } from './lane/lane.ts';
import { reasonOf } from './pause.ts';

/** Addresses of one record. */
const MAX_ADDRESSES = 1000;

function write(
  { deps: { logger } }: Core,
  lane: Lane,
  o: { queueId: string; recipients: readonly LiveRecipient[]; untilMs: number },
): void {
  const { queueId, recipients, untilMs } = o;
  for (let at = 0; at < recipients.length; at += MAX_ADDRESSES) {
    const addresses = recipients.slice(at, at + MAX_ADDRESSES).map(({ address }) => address);
    lane.append({ $case: 'inDoubt', value: { epoch: lane.epoch, queueId, addresses, untilMs } }).then(
      () => logger.info({ queueId, lane: lane.number, recipients: addresses.length, untilMs }, 'delivery.doubt.recorded'),
      (error: unknown) => logger.warn({ queueId, lane: lane.number, reason: reasonOf(error) }, 'delivery.doubt.lost'),
    );
  }
}

/**
 * For a lane that is given away: names those whose final dot is out and not answered. Its next owner leaves them alone until
 * `untilMs` and tries all others at once. Whatever outcome is written ends the hold.
 */
export function recordDoubts(core: Core, lane: Lane, untilMs: number): void {
  for (const { message, recipients, flight } of lane.wire)
    if (flight.dotted) write(core, lane, { queueId: message.queueId, recipients, untilMs });
}
