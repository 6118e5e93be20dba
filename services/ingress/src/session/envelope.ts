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
/** RFC 5321 §4.5.3.1.3, without the brackets. */
const MAX_MAILBOX_OCTETS = 254;

const MAIL_OK = smtpReply(250, [1, 0], 'Sender ok');
const RCPT_OK = smtpReply(250, [1, 5], 'Recipient ok');

/** Answers MAIL. `argument`: what follows the verb (RFC 5321 §4.1.1.2). */
export function answerMail(core: Core, dialog: Dialog, argument: string): SmtpReply | Promise<SmtpReply> {
  if (dialog.helo === '') return REFUSALS.helloFirst;
  if (wantsAuth(dialog) && dialog.account === undefined) return REFUSALS.authRequired;
  if (dialog.transaction) return REFUSALS.nestedMail;
  const parsed = parseMail(argument, { auth: wantsAuth(dialog) });
  if (!parsed.ok) return parsed.reply;
  const mail = parsed.value;
  if ((mail.octets ?? 0) > core.config.maxMessageOctets) return REFUSALS.tooLarge;
  const reversePath = mail.reversePath ? formatMailbox(mail.reversePath) : '';
  const begin = (): SmtpReply => {
    dialog.transaction = { mail, reversePath, recipients: [], seen: new Set(), recipientOctets: 0, hasRefused: false };
    return MAIL_OK;
  };
  const { account } = dialog;
  if (account === undefined) return begin();
  if (core.quota.excess(account, 0) === 'messages') return REFUSALS.tooManyMessages;
  const shown = reversePath === '' ? [] : [reversePath];
  return refuseUnowned(core, account, shown, REFUSALS.senderNotOwned).then((refused) => refused ?? begin());
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
function recipientKey({ forwardPath }: RcptCommand, text: string): string {
  if (forwardPath === 'postmaster') return text;
  const domain = canonicalDomain(forwardPath.domain);
  return domain === forwardPath.domain ? text : `${forwardPath.localPart}@${domain}`;
}

/** Answers RCPT (RFC 5321 §4.1.1.3). A recipient given twice is taken once. */
export function answerRcpt(core: Core, dialog: Dialog, argument: string): SmtpReply | Promise<SmtpReply> {
  const { transaction } = dialog;
  if (!transaction) return REFUSALS.mailFirst;
  const note = (reply: SmtpReply): SmtpReply => {
    if (reply.code !== 250) transaction.hasRefused = true;
    return reply;
  };
  const reply = addRecipient(core, dialog, transaction, argument);
  return reply instanceof Promise ? reply.then(note) : note(reply);
}

function addRecipient(core: Core, dialog: Dialog, transaction: Transaction, argument: string): SmtpReply | Promise<SmtpReply> {
  const parsed = parseRcpt(argument, { smtputf8: transaction.mail.smtputf8 });
  if (!parsed.ok) return parsed.reply;
  const { notify, orcpt } = parsed.value;
  const forwardPath = forwardPathOf(parsed.value);
  const key = recipientKey(parsed.value, forwardPath);
  if (transaction.seen.has(key)) return RCPT_OK;
  const octets = utf8Octets(forwardPath) + utf8Octets(orcpt) + RECIPIENT_OVERHEAD_OCTETS;
  const count = transaction.recipients.length + 1;
  if (count > core.config.maxRecipients || transaction.recipientOctets + octets > MAX_RECIPIENT_OCTETS) return REFUSALS.tooManyRecipients;
  if (dialog.account !== undefined && core.quota.excess(dialog.account, count) === 'recipients') return REFUSALS.tooManyRecipientsPerHour;
  const add = (result: CheckResult): SmtpReply => {
    const refused = refusalOf(dialog, result);
    if (refused) return refused;
    // The client left meanwhile: what is taken now would never be given back.
    if (dialog.transaction !== transaction) return REFUSALS.mailFirst;
    if (!core.recipientRoom.take(octets, transaction.recipientOctets)) return REFUSALS.noRoom;
    transaction.seen.add(key);
    transaction.recipientOctets += octets;
    transaction.recipients.push({ forwardPath, notify, orcpt });
    return RCPT_OK;
  };
  const result = core.checkRecipient(forwardPath);
  return result instanceof Promise ? result.then(add, refuseUnchecked) : add(result);
}

function refuseUnchecked(error: unknown): SmtpReply {
  if (error instanceof Unavailable) return REFUSALS.directoryDown;
  throw error;
}

function refusalOf(dialog: Dialog, result: CheckResult): SmtpReply | undefined {
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
const RCPT = 'RCPT TO:<';
/** What the path may hold that is asked ahead: anything rarer is asked when its turn comes. */
const PLAIN_PATH = /^[\x21\x23-\x3b\x3d\x3f-\x5a\x5e-\x7e]+$/;

/**
 * Asks ahead about recipients that a client pipelined, so that they become one question. `lines`: octets that were read and
 * are not yet handled, command lines in all likelihood; nothing is decided here.
 */
export function lookAhead(core: Core, dialog: Dialog, lines: Buffer): void {
  if (dialog.helo === '' || (wantsAuth(dialog) && dialog.account === undefined)) return;
  const text = lines.toString('latin1');
  let at = text.indexOf(RCPT);
  for (let asked = 0; at >= 0 && asked < MAX_AHEAD; asked++) {
    const end = text.indexOf('>', at);
    const path = text.slice(at + RCPT.length, end);
    if (end < 0) return;
    if (path.length <= MAX_MAILBOX_OCTETS && PLAIN_PATH.test(path) && path.includes('@')) {
      // The answer is taken when the command's turn comes; its failure is told then.
      const answer = core.checkRecipient(path);
      if (answer instanceof Promise) answer.catch(() => {});
    }
    at = text.indexOf(RCPT, end);
  }
}
