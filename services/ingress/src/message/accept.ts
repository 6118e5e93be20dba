import { BlobStoreFull } from '@angarium/blob';
import { AppendFailed } from '@angarium/log';
import { formatDate, formatMessageId, formatReceived, fromAddresses } from '@angarium/message';
import { BodyType, type Content, type Envelope, encodeRecord, Ret } from '@angarium/records';
import { printable, type SmtpReply, smtpReply } from '@angarium/smtp';
import type { Core } from '../core.ts';
import { REFUSALS, type Refusal } from '../replies.ts';
import { type Dialog, type Transaction, tenantOf } from '../session/dialog.ts';
import { refuseUnowned } from '../session/envelope.ts';
import type { Body } from './body.ts';
import { hasEightBitContent, type Incoming, readIncoming, withFields } from './incoming.ts';

export interface Tls {
  readonly version: string;
  readonly cipher: string;
}

/** What the end of DATA hands over. */
export interface Handover {
  readonly core: Core;
  readonly dialog: Dialog;
  readonly transaction: Transaction;
  readonly tls: Tls | undefined;
}

/** A step between the content and the log: a refusal ends it, nothing lets the message pass. */
type Step = (handover: Handover, message: Incoming) => Promise<SmtpReply | undefined>;

const refuseLoop: Step = async ({ core }, { header }) => {
  if (!header.complete) return REFUSALS.headerTooLarge;
  return header.receivedCount > core.config.maxReceivedFields ? REFUSALS.loop : undefined;
};

/** Most authors of one message; each is a question to the directory. */
const MAX_FROM = 100;

/** RFC 6409 §6.1: whoever a reader may take for the author must be the account; why Sender too: docs/adr/0012. */
const refuseForeign =
  (field: 'from' | 'sender', refusal: Refusal): Step =>
  async ({ core, dialog: { account } }, { header }) => {
    if (account === undefined) return undefined;
    const shown = fromAddresses(header, field);
    return !shown || shown.length > MAX_FROM ? refusal : refuseUnowned(core, account, shown, refusal);
  };

const STEPS: readonly Step[] = [
  refuseLoop,
  refuseForeign('from', REFUSALS.fromNotOwned),
  refuseForeign('sender', REFUSALS.headerSenderNotOwned),
];

/** With-protocol of the Received field: RFC 3848, RFC 6531 §4.3. */
export function withProtocol({ isExtended, account }: Dialog, o: { readonly smtputf8: boolean; readonly isSecure: boolean }): string {
  if (!isExtended) return 'SMTP';
  return `${o.smtputf8 ? 'UTF8SMTP' : 'ESMTP'}${o.isSecure ? 'S' : ''}${account === undefined ? '' : 'A'}`;
}

/** Received (RFC 5321 §4.4), and on submission Date and Message-ID where they are missing (RFC 6409). */
function fieldsFor({ core, dialog, transaction, tls }: Handover, { queueId, receivedMs, header }: Incoming): string {
  const [only, second] = transaction.recipients;
  const received = formatReceived({
    from: { helo: dialog.helo, address: dialog.client.address },
    by: core.hostname,
    protocol: withProtocol(dialog, { smtputf8: transaction.mail.smtputf8, isSecure: tls !== undefined }),
    queueId,
    ...(tls && { tls }),
    ...(only && !second && { forAddress: only.forwardPath }),
    nowMs: receivedMs,
  });
  if (dialog.account === undefined) return received;
  const date = header.has('date') ? '' : formatDate(receivedMs);
  return received + date + (header.has('message-id') ? '' : formatMessageId(queueId, core.hostname));
}

const RET = { FULL: Ret.FULL, HDRS: Ret.HDRS } as const;
const MESSAGE_ID_OCTETS = 250;

function envelopeOf({ core, dialog, transaction }: Handover, message: Incoming, traceparent: string): Envelope {
  const { queueId, receivedMs, header } = message;
  const { mail, reversePath } = transaction;
  const ownId = dialog.account === undefined ? '' : `<${queueId}@${core.hostname}>`;
  return {
    queueId,
    reversePath,
    envid: mail.envid,
    ret: mail.ret ? RET[mail.ret] : Ret.UNSPECIFIED,
    // What the octets say, not the BODY parameter: 8-bit content without it is common.
    bodyType: hasEightBitContent(message) ? BodyType.EIGHT_BIT_MIME : BodyType.SEVEN_BIT,
    smtputf8: mail.smtputf8,
    headerUtf8: header.hasEightBit,
    tenant: tenantOf(dialog),
    priority: 0,
    acceptedAtMs: receivedMs,
    parentQueueId: '',
    traceparent,
    messageId: printable(header.value('message-id') ?? ownId, MESSAGE_ID_OCTETS),
  };
}

/** A record may have 512 KiB; what is left of it for envelope and framing. */
const RECORD_OCTETS = 500 * 1024;

async function place({ core, transaction }: Handover, o: { queueId: string; pieces: readonly Buffer[]; octets: number }): Promise<Content> {
  const { queueId, pieces, octets } = o;
  const [first, ...more] = pieces;
  const isInline = octets <= core.config.inlineMaxOctets && octets + transaction.recipientOctets <= RECORD_OCTETS;
  if (isInline && first !== undefined && more.length === 0) return { place: { $case: 'inline', value: first }, octets, laneBlob: false };
  const key = `shared/${queueId}`;
  await core.blobs.put(key, pieces);
  return { place: { $case: 'blobKey', value: key }, octets, laneBlob: false };
}

/** What a failure to make the message durable is answered with: 4yz always, the client tries again. */
function refuseUnstored({ core, dialog }: Handover, queueId: string, error: unknown): SmtpReply {
  const inDoubt = error instanceof AppendFailed && error.inDoubt;
  if (inDoubt) core.meters.inDoubt.inc();
  const isFull = error instanceof BlobStoreFull || (error instanceof AppendFailed && error.reason === 'full');
  const why = { queueId, client: dialog.client.address, reason: error instanceof Error ? error.message : String(error), inDoubt };
  if (isFull) core.logger.warn(why, 'ingress.message.unstored');
  else core.logger.error(why, 'ingress.message.unstored');
  return isFull ? REFUSALS.noRoom : REFUSALS.notStored;
}

async function store(handover: Handover, message: Incoming): Promise<SmtpReply> {
  const { core, dialog, transaction } = handover;
  const { queueId, receivedMs } = message;
  const pieces = withFields(message, fieldsFor(handover, message));
  const octets = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const attributes = { 'angarium.queue_id': queueId, 'angarium.recipients': transaction.recipients.length, 'angarium.octets': octets };
  const span = core.tracing.start('ingress accept', { kind: 'producer', startedAtMs: receivedMs, attributes });
  try {
    const content = await place(handover, { queueId, pieces, octets });
    const envelope = envelopeOf(handover, message, span.traceparent);
    const { recipients } = transaction;
    const value = { envelope, recipients, content, laneTableVersion: core.laneTableVersion() };
    await core.log.append('mail.in', core.log.anyPartition('mail.in'), [encodeRecord({ $case: 'accepted', value })]);
  } catch (error) {
    span.end({ failed: String(error) });
    return refuseUnstored(handover, queueId, error);
  }
  span.end();
  const { listener, account, client } = dialog;
  core.meters.messages.inc({ listener, tls: handover.tls ? 'yes' : 'no' });
  core.meters.octets.inc({ listener }, octets);
  core.meters.recipients.inc({ listener }, transaction.recipients.length);
  core.meters.acceptSeconds.observe((core.clock.nowMs() - receivedMs) / 1000, {}, span.traceId);
  const who = account === undefined ? { client: client.address } : { account };
  core.logger.info(
    { queueId, ...who, reversePath: transaction.reversePath, recipients: transaction.recipients.length, octets },
    'ingress.message.accepted',
  );
  return smtpReply(250, [0, 0], `Queued as ${queueId}`);
}

function refuseBody(body: Body, hasBareLineEnd: boolean): SmtpReply | undefined {
  if (body.lost === 'tooLarge') return REFUSALS.tooLarge;
  if (body.lost === 'noRoom') return REFUSALS.noRoom;
  return hasBareLineEnd ? REFUSALS.bareLineEnd : undefined;
}

/**
 * Decides on a message that was received to its end, and answers it: 250 once the log has made it durable, never before.
 * The body is released in any case.
 */
export async function acceptMessage(handover: Handover, body: Body, o: { readonly hasBareLineEnd: boolean }): Promise<SmtpReply> {
  const { core, dialog, transaction } = handover;
  body.complete();
  try {
    const refused = refuseBody(body, o.hasBareLineEnd);
    if (refused) return refused;
    const message = readIncoming(body, { queueId: core.nextQueueId(), receivedMs: core.clock.nowMs() });
    for (const step of STEPS) {
      const reply = await step(handover, message);
      if (reply) return reply;
    }
    if (dialog.account === undefined) return await store(handover, message);
    const over = core.quota.take(dialog.account, transaction.recipients.length);
    if (over) return over === 'messages' ? REFUSALS.tooManyMessages : REFUSALS.tooManyRecipientsPerHour;
    const reply = await store(handover, message);
    if (reply.code !== 250) core.quota.giveBack(dialog.account, transaction.recipients.length);
    return reply;
  } finally {
    body.release();
  }
}
