import type { Change, LaneRecord, LiveMessage, LiveRecipient } from '@angarium/lanes';
import { type Kind, type Outcome, Result } from '@angarium/records';
import { inlineContent } from './contents.ts';
import type { Core, Flight } from './core.ts';
import type { Lane } from './lane/lane.ts';
import type { Notifier } from './notify/notifier.ts';
import { reasonOf } from './pause.ts';
import { admit, endMessage, withdraw } from './waiting.ts';

/** The copy of its body that a lane made for a message of which nothing is live any more. */
export function deleteLaneBlob({ deps, meters }: Core, { content, queueId }: LiveMessage): void {
  if (content.in !== 'blob' || !content.ownedByLane) return;
  deps.blobs.delete(content.key).catch((error: unknown) => {
    meters.ownFaults.inc({ fault: 'blob' });
    deps.logger.warn({ queueId, key: content.key, reason: reasonOf(error) }, 'delivery.blob.left_behind');
  });
}

/** Our own outcome was read back: its recipients are no longer in flight, and those that it deferred wait on. */
function land(core: Core, lane: Lane, outcome: Outcome): readonly LiveRecipient[] {
  const recipients = lane.fold.messages.get(outcome.queueId)?.recipients;
  if (outcome.epoch !== lane.epoch || recipients === undefined) return [];
  const landed: LiveRecipient[] = [];
  let flight: Flight | undefined;
  for (const { result, addresses } of outcome.recipients) {
    if (result !== Result.DEFERRED) continue;
    for (const address of addresses) {
      const recipient = recipients.get(address);
      const its = recipient && core.flights.get(recipient);
      if (recipient === undefined || its?.attemptId !== outcome.attemptId) continue;
      flight = its;
      core.flights.delete(recipient);
      landed.push(recipient);
    }
  }
  if (landed.length > 0) admit(core, lane, landed, flight);
  return landed;
}

function takeFinished(core: Core, { finished }: Change): void {
  const waiting: LiveRecipient[] = [];
  for (const { recipient } of finished) {
    const flight = core.flights.get(recipient);
    if (flight === undefined) waiting.push(recipient);
    else if (!flight.active) core.flights.delete(recipient);
  }
  if (waiting.length > 0) withdraw(core, waiting);
}

/** Brings what waits and what is under way in line with what a record of a live lane changed. */
export function follow(
  core: Core,
  notifier: Notifier,
  { lane, record, change }: { lane: Lane; record: LaneRecord<Kind>; change: Change },
): void {
  const { kind } = record;
  const landed = kind.$case === 'outcome' ? land(core, lane, kind.value) : [];
  const isLanded = new Set(landed.map(({ address }) => address));
  takeFinished(core, change);
  const [first] = change.admitted;
  const body = first === undefined ? undefined : inlineContent(kind);
  if (first !== undefined && body !== undefined) core.contents.fresh(first.message, body);
  const others = change.rescheduled.filter((recipient) => !core.flights.has(recipient) && !isLanded.has(recipient.address));
  if (others.length > 0) withdraw(core, others);
  admit(core, lane, [...change.admitted, ...others]);
  for (const id of change.notificationsAsked) notifier.ask(lane, id);
  for (const message of change.ended) endMessage(core, message);
  if (change.duplicates > 0) core.meters.duplicates.inc({}, change.duplicates);
  if (landed[0] !== undefined) core.contents.forget(landed[0].message);
}

/** The lane is ours: everything that is live in it waits from now on. */
export function takeOver(core: Core, notifier: Notifier, lane: Lane): void {
  for (const message of lane.fold.messages.values()) admit(core, lane, [...message.recipients.values()]);
  for (const id of lane.fold.pendingNotifications()) notifier.ask(lane, id);
}
