import type { LiveRecipient, Notification } from '@angarium/lanes';
import { buildDsn, type Dsn, type DsnRecipient } from '@angarium/message';
import { type Accepted, BodyType, type Content, Result, Ret } from '@angarium/records';
import type { Config } from '@angarium/runtime';
import { NOTIFY } from '@angarium/smtp';
import { expiresAtMs } from './rules.ts';

export interface DsnOptions {
  readonly config: Config;
  readonly notifyId: string;
  readonly nowMs: number;
  /** The message that the notification is about; empty where it is lost. */
  readonly original: Uint8Array;
}

/** RFC 3463 §3.5: delivery time expired. */
const EXPIRED_STATUS = '4.4.7';

function actionOf({ state, lastOutcome }: LiveRecipient): DsnRecipient['action'] {
  if (state === 'waiting') return 'delayed';
  if (lastOutcome?.result !== Result.DELIVERED) return 'failed';
  return lastOutcome.relayed ? 'relayed' : 'delivered';
}

function toDsnRecipient(recipient: LiveRecipient, { config, nowMs }: DsnOptions): DsnRecipient {
  const { address, orcpt, lastOutcome } = recipient;
  const reply = lastOutcome?.reply;
  const action = actionOf(recipient);
  return {
    finalRecipient: address,
    orcpt,
    action,
    status: lastOutcome?.result === Result.EXPIRED ? EXPIRED_STATUS : (reply?.enhanced ?? ''),
    ...(reply && reply.text !== '' ? { reply: { code: reply.code, enhanced: reply.enhanced, text: reply.text } } : {}),
    remoteMta: reply?.remoteHost || lastOutcome?.remoteHost || '',
    lastAttemptMs: nowMs,
    ...(action === 'delayed' ? { willRetryUntilMs: expiresAtMs(recipient, config.delivery) } : {}),
  };
}

/** The report about the recipients whose last outcome asks for it, from the fold alone. */
export function buildNotification({ message, recipients, queueId }: Notification, o: DsnOptions): Dsn {
  const { envelope } = message;
  return buildDsn({
    dsnId: o.notifyId,
    queueId,
    reportingMta: o.config.hostname,
    to: envelope.reversePath,
    envid: envelope.envid,
    arrivalMs: envelope.acceptedAtMs,
    nowMs: o.nowMs,
    boundary: o.notifyId,
    recipients: recipients.map((recipient) => toDsnRecipient(recipient, o)),
    original: { octets: o.original, ret: envelope.ret === Ret.HDRS ? 'hdrs' : envelope.ret === Ret.FULL ? 'full' : '' },
    fullMaxOctets: o.config.delivery.notifyFullOctets,
    smtputf8: envelope.smtputf8,
  });
}

export interface AcceptedOptions {
  readonly notifyId: string;
  readonly nowMs: number;
  readonly hostname: string;
  readonly content: Content;
  readonly laneTableVersion: number;
}

/** Fairness key of notifications: a flood of them waits behind everybody else's mail. */
export const NOTIFY_TENANT = 'dsn';

/** The report as mail: null reverse-path, NOTIFY=NEVER (RFC 3461 §6.1). */
export function acceptNotification({ message }: Notification, dsn: Dsn, o: AcceptedOptions): Accepted {
  const { envelope } = message;
  return {
    envelope: {
      queueId: o.notifyId,
      reversePath: '',
      envid: '',
      ret: Ret.UNSPECIFIED,
      bodyType: dsn.eightBit ? BodyType.EIGHT_BIT_MIME : BodyType.SEVEN_BIT,
      smtputf8: dsn.smtputf8,
      headerUtf8: dsn.smtputf8,
      tenant: NOTIFY_TENANT,
      priority: 0,
      acceptedAtMs: o.nowMs,
      parentQueueId: message.queueId,
      traceparent: envelope.traceparent,
      messageId: `<${o.notifyId}@${o.hostname}>`,
    },
    recipients: [{ forwardPath: envelope.reversePath, notify: NOTIFY.NEVER, orcpt: '' }],
    content: o.content,
    laneTableVersion: o.laneTableVersion,
  };
}
