import { type SmtpReply, smtpReply } from '@angarium/smtp';
import type { Core } from '../core.ts';
import { REFUSALS } from '../replies.ts';
import { type Dialog, endTransaction, wantsAuth } from './dialog.ts';
import { answerMail, answerRcpt, refuseData } from './envelope.ts';

/** What a command asks of the connection, where a reply alone does not do. */
export interface Action {
  /** `base`: smtp-server answers it. */
  readonly do: 'data' | 'auth' | 'startTls' | 'base';
  readonly verb: string;
  readonly line: string;
}

/** Any other verb is unknown, smtp-server's jokes among them. */
const VERBS = new Map([
  ['HELO', 'hello'],
  ['EHLO', 'hello'],
  ['MAIL', 'mail'],
  ['RCPT', 'rcpt'],
  ['DATA', 'data'],
  ['AUTH', 'auth'],
  ['STARTTLS', 'startTls'],
  ['NOOP', 'base'],
  ['RSET', 'base'],
  ['QUIT', 'base'],
  ['HELP', 'help'],
  ['VRFY', 'vrfy'],
  ['EXPN', 'never'],
  ['TURN', 'never'],
  ['ETRN', 'never'],
  ['BDAT', 'never'],
  ['XCLIENT', 'never'],
  ['XFORWARD', 'never'],
] as const);
type Verb = typeof VERBS extends Map<infer Name, unknown> ? Name : never;

/** Verbs that take no argument (RFC 5321 §4.1.1, RFC 3207). */
const WITHOUT_ARGUMENT: ReadonlySet<string> = new Set(['RSET', 'QUIT', 'STARTTLS']);

const HELP = smtpReply(214, [0, 0], 'HELO EHLO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP STARTTLS AUTH; see RFC 5321');
const CANNOT_VERIFY = smtpReply(252, [5, 0], 'Cannot verify the user, but will take mail for it');
/** One word, whatever it is: real clients send worse than domains. */
const HELLO_ARGUMENT = /^[\x21-\x7e\u00a0-\u{10ffff}]{1,255}$/u;
const ASCII_TEXT = /^[\t\x20-\x7e]*$/;
const COMMAND_TEXT = /^[\t\x20-\x7e\u00a0-\u{10ffff}]*$/u;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text of a command line without its CRLF; `undefined` where it holds control octets or is not UTF-8. */
export function decodeCommand(line: Buffer): string | undefined {
  const octets = line.toString('latin1');
  if (ASCII_TEXT.test(octets)) return octets;
  try {
    const text = UTF8.decode(line);
    return COMMAND_TEXT.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

/** Answers one command line, or says what the connection has to do for it; at once where nobody has to be asked. */
export function answerCommand(core: Core, dialog: Dialog, text: string): SmtpReply | Action | Promise<SmtpReply> {
  const line = withoutTrailingBlanks(text);
  const space = line.indexOf(' ');
  const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase();
  const argument = space < 0 ? '' : line.slice(space + 1);
  if (argument !== '' && WITHOUT_ARGUMENT.has(verb)) return REFUSALS.noParameters;
  const kind = VERBS.get(verb as Verb);
  switch (kind) {
    case 'hello':
      return answerHello(core, dialog, verb, argument);
    case 'mail':
      return answerMail(core, dialog, argument);
    case 'rcpt':
      return answerRcpt(core, dialog, argument);
    case 'data':
      return refuseData(dialog, argument) ?? { do: kind, verb, line };
    case 'auth':
      return refuseAuth(dialog, argument) ?? { do: kind, verb, line };
    case 'startTls':
      return dialog.listener === 'submissions' ? REFUSALS.notImplemented : { do: kind, verb, line };
    case 'base':
      return { do: kind, verb, line };
    case 'vrfy':
      return argument === '' ? REFUSALS.needsParameter : CANNOT_VERIFY;
    case 'help':
      return HELP;
    case 'never':
      return REFUSALS.notImplemented;
    case undefined:
      return REFUSALS.unknownCommand;
  }
}

/** By hand: a pattern anchored at the end looks at every run of blanks again and again. */
function withoutTrailingBlanks(text: string): string {
  let end = text.length;
  while (text[end - 1] === ' ' || text[end - 1] === '\t') end--;
  return text.slice(0, end);
}

/** Starts the session anew. No enhanced codes in these answers (RFC 2034 §3). */
function answerHello({ hostname, config, recipientRoom }: Core, dialog: Dialog, verb: string, argument: string): SmtpReply {
  if (!HELLO_ARGUMENT.test(argument)) return { code: 501, text: `Syntax: ${verb} hostname` };
  endTransaction(recipientRoom, dialog);
  dialog.helo = argument;
  dialog.isExtended = verb === 'EHLO';
  if (!dialog.isExtended) return { code: 250, text: hostname };
  const offers = [hostname, 'PIPELINING', `SIZE ${config.maxMessageOctets}`, '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'DSN'];
  if (!dialog.isSecure) offers.push('STARTTLS');
  if (dialog.isSecure && wantsAuth(dialog) && dialog.account === undefined) offers.push('AUTH PLAIN LOGIN');
  return { code: 250, text: offers.join('\n') };
}

function refuseAuth(dialog: Dialog, argument: string): SmtpReply | undefined {
  if (!wantsAuth(dialog)) return REFUSALS.notImplemented;
  if (dialog.helo === '') return REFUSALS.helloFirst;
  if (!dialog.isSecure) return REFUSALS.tlsRequired;
  if (dialog.transaction) return REFUSALS.authInTransaction;
  if (argument === '') return REFUSALS.needsParameter;
  const space = argument.indexOf(' ');
  const response = space < 0 ? '=' : argument.slice(space + 1);
  return response === '=' || isBase64(response) ? undefined : REFUSALS.badBase64;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** RFC 4648 §4, with padding, as RFC 4954 §4 wants it: the exchange itself would take anything. */
export const isBase64 = (text: string): boolean => BASE64.test(text);
