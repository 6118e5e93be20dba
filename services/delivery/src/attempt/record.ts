import type { LiveMessage } from '@angarium/lanes';
import { type Outcome, type RecipientOutcome, Result } from '@angarium/records';
import type { Core, Flight } from '../core.ts';
import type { Lane } from '../lane/lane.ts';
import { type ResultName, replyClass } from '../meters.ts';
import { type Finding, formatOutcomes, type Moment } from './conclude.ts';

const NAMES: Readonly<Partial<Record<Result, ResultName>>> = {
  [Result.DELIVERED]: 'delivered',
  [Result.DEFERRED]: 'deferred',
  [Result.BOUNCED]: 'bounced',
  [Result.EXPIRED]: 'expired',
  [Result.DISCARDED]: 'discarded',
};

const MAX_LOGGED = 20;

export interface Recording {
  readonly lane: Lane;
  readonly message: LiveMessage;
  readonly flight: Flight;
  readonly findings: readonly Finding[];
  readonly inDoubt: boolean;
  /** Empty: no site was asked. */
  readonly site: string;
  /** Of the attempt, where it was traced. */
  readonly traceId?: string;
}

export const momentOf = ({ deps, laneTableVersion }: Core): Moment => ({
  config: deps.config.delivery,
  nowMs: deps.clock.nowMs(),
  random: deps.random,
  laneTableVersion: laneTableVersion(),
});

function logPart(core: Core, { message, site }: Recording, part: RecipientOutcome): void {
  const { addresses, reply, attempts, dueAtMs, notifyId } = part;
  const name = NAMES[part.result] ?? 'deferred';
  const { queueId, envelope } = message;
  const ageMs = core.deps.clock.nowMs() - envelope.acceptedAtMs;
  core.deps.logger.info(
    {
      queueId,
      from: envelope.reversePath,
      to: addresses.slice(0, MAX_LOGGED),
      recipients: addresses.length,
      site,
      reply: reply && `${reply.code} ${reply.enhanced} ${reply.text}`,
      host: part.remoteHost,
      attempts,
      ageMs,
      ...(dueAtMs > 0 ? { dueAtMs } : {}),
      ...(notifyId === '' ? {} : { notifyId }),
    },
    `delivery.recipient.${name}`,
  );
}

function count(core: Core, { message, traceId }: Recording, outcome: Outcome): void {
  const ageMs = core.deps.clock.nowMs() - message.envelope.acceptedAtMs;
  for (const { result, reply, addresses } of outcome.recipients) {
    core.meters.outcomes.inc({ result: NAMES[result] ?? 'deferred', reply: replyClass(reply?.code ?? 0) }, addresses.length);
    if (result === Result.DELIVERED) for (const _ of addresses) core.meters.endToEnd.observe(ageMs / 1000, {}, traceId);
  }
}

/**
 * Writes what became of recipients to their lane. They stay in flight until the record is read back, so that nothing is sent
 * twice meanwhile. The log line follows when the record is durable; then it resolves, and also when the process stops before.
 */
export async function record(core: Core, recording: Recording): Promise<void> {
  const { lane, message, flight, findings, inDoubt } = recording;
  for (const { recipient } of findings) core.flights.set(recipient, flight);
  const head = { message, epoch: lane.epoch, attemptId: flight.attemptId, inDoubt };
  const written = formatOutcomes(head, findings, momentOf(core)).map((outcome) =>
    lane.append({ $case: 'outcome', value: outcome }).then(
      () => {
        count(core, recording, outcome);
        for (const part of outcome.recipients) logPart(core, recording, part);
      },
      // Only when the process stops: the attempt was made and is not recorded, and will be made again.
      () => core.deps.logger.warn({ queueId: message.queueId, attemptId: flight.attemptId }, 'delivery.outcome.lost'),
    ),
  );
  await Promise.all(written);
}
