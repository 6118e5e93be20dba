import type { LiveMessage, LiveRecipient } from '@angarium/lanes';
import type { Core } from './core.ts';
import type { Lane } from './lane/lane.ts';
import { reasonOf } from './pause.ts';

/** Addresses of one record. */
const MAX_ADDRESSES = 1000;

const laneOf = ({ lanes }: Core, message: LiveMessage): Lane | undefined =>
  lanes.find(({ state, fold }) => state === 'live' && fold.messages.get(message.queueId) === message);

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
 * For a process that stops: names those whose final dot is out and not answered. If it is killed before the answers are written,
 * its successor leaves them alone until `untilMs` and tries all others at once. Whatever outcome is written ends the hold.
 */
export function recordDoubts(core: Core, untilMs: number): void {
  const sent = [...core.flights].filter(([, { dotted }]) => dotted).map(([recipient]) => recipient);
  for (const [message, recipients] of Map.groupBy(sent, (recipient) => recipient.message)) {
    const lane = laneOf(core, message);
    if (lane !== undefined) write(core, lane, { queueId: message.queueId, recipients, untilMs });
  }
}
