import type { LiveMessage, LiveRecipient } from '@angarium/lanes';
import { deriveQueueId, type Outcome, type RecipientOutcome, type Reply, Result } from '@angarium/records';
import type { Config } from '@angarium/runtime';
import { nextAttempt } from '@angarium/scheduler';
import { expiresAtMs, wantsNotification } from '../notify/rules.ts';
import type { AttemptResult, RemoteReply } from '../transport/port.ts';

export interface Moment {
  readonly config: Config['delivery'];
  readonly nowMs: number;
  readonly random: () => number;
  /** In force: what is told of now is routed by it, also when it is told again. */
  readonly laneTableVersion: number;
}

/** What one recipient is to be recorded with. */
export interface Finding {
  readonly recipient: LiveRecipient;
  readonly result: Result;
  readonly reply: RemoteReply;
  readonly relayed: boolean;
  readonly attempts: number;
  readonly dueAtMs: number;
}

export interface Concluded {
  readonly findings: readonly Finding[];
  /** Put off by trouble of our own: nothing is recorded. */
  readonly unspent: readonly { readonly recipient: LiveRecipient; readonly reply: RemoteReply }[];
}

const RESULTS = { delivered: Result.DELIVERED, bounced: Result.BOUNCED } as const;

/** A failed attempt defers, or ends the recipient whose lifetime is over. */
export function deferral(recipient: LiveRecipient, reply: RemoteReply, { config, nowMs, random }: Moment): Finding {
  const attempts = recipient.attempts + 1;
  const endMs = expiresAtMs(recipient, config);
  const policy = { retryMs: config.retryMs, jitter: config.retryJitter };
  if (nowMs >= endMs) return { recipient, result: Result.EXPIRED, reply, relayed: false, attempts, dueAtMs: 0 };
  const dueAtMs = nextAttempt(policy, { attempts, nowMs, random, expiresAtMs: endMs });
  return { recipient, result: Result.DEFERRED, reply, relayed: false, attempts, dueAtMs };
}

/** What an attempt says about each of its recipients. A recipient that the transport left out is deferred as our own fault. */
export function concludeAttempt(recipients: readonly LiveRecipient[], result: AttemptResult, moment: Moment): Concluded {
  // One draw per attempt: what failed together comes due together.
  const chance = moment.random();
  const draw: Moment = { ...moment, random: () => chance };
  const findings: Finding[] = [];
  const unspent: { recipient: LiveRecipient; reply: RemoteReply }[] = [];
  for (const [index, recipient] of recipients.entries()) {
    const told = result.recipients[index];
    const reply = told?.reply ?? { code: 0, enhanced: '4.3.0', text: 'the attempt did not conclude', remoteHost: '' };
    const name = told?.result ?? 'deferred';
    const isSpent = told !== undefined && result.spent && told.ownFault !== true;
    if (name !== 'deferred') {
      const attempts = recipient.attempts + 1;
      findings.push({ recipient, result: RESULTS[name], reply, relayed: told?.relayed ?? false, attempts, dueAtMs: 0 });
    } else if (isSpent || result.inDoubt) findings.push(deferral(recipient, reply, draw));
    else unspent.push({ recipient, reply });
  }
  return { findings, unspent };
}

const toReply = ({ code, enhanced, text, remoteHost }: RemoteReply): Reply => ({ code, enhanced, text, remoteHost });

/** Addresses with one result, and how many octets they take in a record, roughly. */
type Asked = Pick<RecipientOutcome, 'notifyId' | 'notifyTableVersion'>;
const UNASKED: Asked = { notifyId: '', notifyTableVersion: 0 };

interface Part {
  readonly outcome: RecipientOutcome;
  octets: number;
}

const MAX_OCTETS = 350 * 1024;
const PART_OCTETS = 100;
const ADDRESS_OCTETS = 4;

function createPart({ result, reply, relayed, attempts, dueAtMs }: Finding, asked: Asked): Part {
  const addresses: string[] = [];
  const outcome = { addresses, result, reply: toReply(reply), dueAtMs, attempts, relayed, remoteHost: reply.remoteHost, ...asked };
  return { outcome, octets: PART_OCTETS + 3 * reply.text.length + 3 * reply.remoteHost.length };
}

export interface OutcomeHead {
  readonly message: LiveMessage;
  readonly epoch: number;
  readonly attemptId: string;
  readonly inDoubt: boolean;
}

/**
 * Records of one attempt: recipients that fared alike share a part, and everybody to be told of shares one notification. Usually
 * one record; more where it would get too large, under the same attempt id.
 */
export function formatOutcomes(head: OutcomeHead, findings: readonly Finding[], moment: Moment): readonly Outcome[] {
  const { queueId } = head.message;
  const parts = new Map<string, Part>();
  const outcomes: Outcome[] = [];
  let octets = MAX_OCTETS;
  const open = (): Outcome => {
    const outcome: Outcome = { queueId, epoch: head.epoch, attemptId: head.attemptId, recipients: [], inDoubt: head.inDoubt };
    outcomes.push(outcome);
    parts.clear();
    octets = 0;
    return outcome;
  };
  let outcome: Outcome | undefined;
  let notifyId = '';
  for (const finding of findings) {
    const { recipient, result, reply, attempts, dueAtMs, relayed } = finding;
    const isTold = wantsNotification(recipient, { result, relayed }, moment.config, moment.nowMs);
    if (isTold && notifyId === '') notifyId = deriveQueueId(queueId, `dsn:${head.attemptId}`);
    const key = `${result} ${attempts} ${dueAtMs} ${relayed} ${isTold} ${reply.code} ${reply.enhanced} ${reply.remoteHost} ${reply.text}`;
    if (outcome === undefined || octets >= MAX_OCTETS) outcome = open();
    let part = parts.get(key);
    if (part === undefined) {
      part = createPart(finding, isTold ? { notifyId, notifyTableVersion: moment.laneTableVersion } : UNASKED);
      parts.set(key, part);
      outcome.recipients.push(part.outcome);
      octets += part.octets;
    }
    part.outcome.addresses.push(recipient.address);
    octets += ADDRESS_OCTETS + 3 * recipient.address.length;
  }
  return outcomes;
}
