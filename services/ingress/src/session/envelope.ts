import { CheckResult, Unavailable } from '@angarium/rpc';
import {
  canonicalDomain,
  formatMailbox,
  parseMail,
  parseRcpt,
  type RcptCommand,
  type SmtpReply,
  smtpReply,
  utf8Octets,
} from '@angarium/smtp';
import type { Core } from '../core.ts';
import { REFUSALS } from '../replies.ts';
import { type Dialog, type Transaction, wantsAuth } from './dialog.ts';

/** Octets of recipients in one record, which may have 512 KiB; the rest is for the content and the envelope. */
export const MAX_RECIPIENT_OCTETS = 400 * 1024;
const RECIPIENT_OVERHEAD_OCTETS = 16;

const MAIL_OK = smtpReply(250, [1, 0], 'Sender ok');
const RCPT_OK = smtpReply(250, [1, 5], 'Recipient ok');

/** Answers MAIL. `argument`: what follows the verb (RFC 5321 §4.1.1.2). */
export async function answerMail(core: Core, dialog: Dialog, argument: string): Promise<SmtpReply> {
  if (dialog.helo === '') return REFUSALS.helloFirst;
  if (wantsAuth(dialog) && dialog.account === undefined) return REFUSALS.authRequired;
  if (dialog.transaction) return REFUSALS.nestedMail;
  const parsed = parseMail(argument, { auth: wantsAuth(dialog) });
  if (!parsed.ok) return parsed.reply;
  const mail = parsed.value;
  if ((mail.octets ?? 0) > core.config.maxMessageOctets) return REFUSALS.tooLarge;
  const reversePath = mail.reversePath ? formatMailbox(mail.reversePath) : '';
  if (dialog.account !== undefined) {
    if (core.quota.excess(dialog.account, 0) === 'messages') return REFUSALS.tooManyMessages;
    const refused = await refuseUnowned(core, dialog.account, reversePath === '' ? [] : [reversePath], REFUSALS.senderNotOwned);
    if (refused) return refused;
  }
  dialog.transaction = { mail, reversePath, recipients: [], seen: new Set(), recipientOctets: 0, hasRefused: false };
  return MAIL_OK;
}

/** RFC 6409 §6.1: the account may use its own addresses only. */
export async function refuseUnowned(
  core: Core,
  account: string,
  addresses: readonly string[],
  refusal: SmtpReply,
): Promise<SmtpReply | undefined> {
  if (addresses.length === 0) return undefined;
  try {
    const { owned } = await core.directory.owns({ account, addresses: [...addresses] });
    return owned.length === addresses.length && owned.every((one) => one) ? undefined : refusal;
  } catch (error) {
    if (error instanceof Unavailable) return REFUSALS.directoryDown;
    throw error;
  }
}

const forwardPathOf = ({ forwardPath }: RcptCommand): string => (forwardPath === 'postmaster' ? forwardPath : formatMailbox(forwardPath));

/** Local parts are compared as sent: only the host that owns them may fold their case. */
function recipientKey({ forwardPath }: RcptCommand): string {
  return forwardPath === 'postmaster' ? forwardPath : `${forwardPath.localPart}@${canonicalDomain(forwardPath.domain)}`;
}

/** Answers RCPT (RFC 5321 §4.1.1.3). A recipient given twice is taken once. */
export async function answerRcpt(core: Core, dialog: Dialog, argument: string): Promise<SmtpReply> {
  const { transaction } = dialog;
  if (!transaction) return REFUSALS.mailFirst;
  const reply = await addRecipient(core, dialog, transaction, argument);
  if (reply.code !== 250) transaction.hasRefused = true;
  return reply;
}

async function addRecipient(core: Core, dialog: Dialog, transaction: Transaction, argument: string): Promise<SmtpReply> {
  const parsed = parseRcpt(argument, { smtputf8: transaction.mail.smtputf8 });
  if (!parsed.ok) return parsed.reply;
  const { notify, orcpt } = parsed.value;
  const key = recipientKey(parsed.value);
  if (transaction.seen.has(key)) return RCPT_OK;
  const forwardPath = forwardPathOf(parsed.value);
  const octets = utf8Octets(forwardPath) + utf8Octets(orcpt) + RECIPIENT_OVERHEAD_OCTETS;
  const count = transaction.recipients.length + 1;
  if (count > core.config.maxRecipients || transaction.recipientOctets + octets > MAX_RECIPIENT_OCTETS) return REFUSALS.tooManyRecipients;
  if (dialog.account !== undefined && core.quota.excess(dialog.account, count) === 'recipients') return REFUSALS.tooManyRecipientsPerHour;
  const refused = await refuseRecipient(core, dialog, forwardPath);
  if (refused) return refused;
  // The client left meanwhile: what is taken now would never be given back.
  if (dialog.transaction !== transaction) return REFUSALS.mailFirst;
  if (!core.recipientRoom.take(octets, transaction.recipientOctets)) return REFUSALS.noRoom;
  transaction.seen.add(key);
  transaction.recipientOctets += octets;
  transaction.recipients.push({ forwardPath, notify, orcpt });
  return RCPT_OK;
}

async function refuseRecipient(core: Core, dialog: Dialog, forwardPath: string): Promise<SmtpReply | undefined> {
  let result: CheckResult;
  try {
    result = await core.checkRecipient(forwardPath);
  } catch (error) {
    if (error instanceof Unavailable) return REFUSALS.directoryDown;
    throw error;
  }
  switch (result) {
    case CheckResult.LOCAL:
      return undefined;
    case CheckResult.UNKNOWN_USER:
      return REFUSALS.unknownUser;
    case CheckResult.DISABLED:
      return REFUSALS.disabledUser;
    case CheckResult.REMOTE:
      return dialog.account !== undefined || dialog.client.relayNetwork !== undefined ? undefined : REFUSALS.relayDenied;
    case CheckResult.UNSPECIFIED:
    case CheckResult.UNRECOGNIZED:
      return REFUSALS.directoryDown;
  }
}

/** What stands against DATA now (RFC 5321 §4.1.1.4). */
export function refuseData({ transaction }: Dialog, argument: string): SmtpReply | undefined {
  if (argument !== '') return REFUSALS.noParameters;
  if (!transaction) return REFUSALS.mailFirst;
  if (transaction.recipients.length > 0) return undefined;
  return transaction.hasRefused ? REFUSALS.noRecipients : REFUSALS.rcptFirst;
}

/** Commands looked at: what is asked ahead escapes the error budget, so it has to be little. */
const MAX_AHEAD = 200;

/**
 * Asks ahead about recipients that a client pipelined, so that they become one question. `lines`: octets that were read and
 * are not yet handled, command lines in all likelihood; nothing is decided here.
 */
export function lookAhead(core: Core, dialog: Dialog, lines: Buffer): void {
  if (dialog.helo === '' || (wantsAuth(dialog) && dialog.account === undefined)) return;
  if (!lines.includes('RCPT TO:')) return;
  const commands = lines.toString('utf8').split('\r\n', MAX_AHEAD + 1);
  for (const command of commands.slice(0, -1)) {
    if (!command.startsWith('RCPT TO:')) continue;
    const parsed = parseRcpt(command.slice('RCPT '.length), { smtputf8: true });
    // The answer is taken when the command's turn comes; its failure is told then.
    if (parsed.ok) core.checkRecipient(forwardPathOf(parsed.value)).catch(() => {});
  }
}
