import { isDomain } from './domain.ts';
import { SMTP_LIMITS } from './limits.ts';
import { type Mailbox, parseMailbox } from './mailbox.ts';
import { parseNotify } from './notify.ts';
import { isAscii, utf8Octets } from './octets.ts';
import { parseOrcpt } from './orcpt.ts';
import { type SmtpReply, smtpReply } from './reply.ts';
import { decodeXtext } from './xtext.ts';

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reply: SmtpReply };

export interface MailCommand {
  /** `undefined` is the null reverse-path `<>`. */
  readonly reversePath: Mailbox | undefined;
  readonly smtputf8: boolean;
  readonly body: '7BIT' | '8BITMIME' | undefined;
  /** SIZE; `undefined` where it was not said. */
  readonly octets: number | undefined;
  readonly ret: 'FULL' | 'HDRS' | undefined;
  /** ENVID, decoded; empty is absent. */
  readonly envid: string;
}

export interface RcptCommand {
  /** `postmaster`: without a domain (RFC 5321 §4.1.1.3). */
  readonly forwardPath: Mailbox | 'postmaster';
  /** Bit set `NOTIFY`. */
  readonly notify: number;
  /** As `parseOrcpt` gives it; empty is absent. */
  readonly orcpt: string;
}

const refuse = (reply: SmtpReply): { readonly ok: false; readonly reply: SmtpReply } => ({ ok: false, reply });
const syntax = (text: string) => refuse(smtpReply(501, [5, 4], text));

const HIDES_BRACKET = /["[]/;

/** Octet behind the `>` that ends the path which starts at `from`; quoted strings and literals may hold a `>`. */
function pathEnd(text: string, from: number): number {
  if (!HIDES_BRACKET.test(text)) return text.indexOf('>', from) + 1 || -1;
  let closedBy = '>';
  for (let at = from + 1; at < text.length; at++) {
    const character = text[at];
    if (closedBy === '"' && character === '\\') at++;
    else if (character === closedBy) {
      if (closedBy === '>') return at + 1;
      closedBy = '>';
    } else if (closedBy === '>' && character === '"') closedBy = '"';
    else if (closedBy === '>' && character === '[') closedBy = ']';
  }
  return -1;
}

/**
 * Splits `FROM:<path> KEY=value ...`. Blanks before the path are taken, as many clients send them, and blanks at the end
 * (RFC 5321 §4.1.1); nothing else is.
 */
function splitArgument(argument: string, keyword: 'FROM:' | 'TO:'): { path: string; parameters: string } | undefined {
  if (argument.slice(0, keyword.length).toUpperCase() !== keyword) return undefined;
  let from = keyword.length;
  while (argument[from] === ' ' || argument[from] === '\t') from++;
  const end = argument[from] === '<' ? pathEnd(argument, from) : -1;
  if (end < 0) return undefined;
  let stop = argument.length;
  while (argument[stop - 1] === ' ' || argument[stop - 1] === '\t') stop--;
  if (end < stop && argument[end] !== ' ') return undefined;
  return { path: argument.slice(from, end), parameters: argument.slice(end + 1, stop) };
}

/** Drops a source route `@a,@b:` (RFC 5321 §4.1.1.3); `undefined` where there is a broken one. */
function withoutRoute(path: string): string | undefined {
  if (!path.startsWith('@')) return path;
  const colon = path.indexOf(':');
  if (colon < 0) return undefined;
  const hops = path.slice(0, colon).split(',');
  return hops.every((hop) => hop.startsWith('@') && isDomain(hop.slice(1), { smtputf8: true })) ? path.slice(colon + 1) : undefined;
}

type Found = { readonly mailbox: Mailbox | undefined; readonly text: string };

/** The path without brackets and route; `mailbox` where it is one. A path over 256 octets is none. */
function readPath(path: string): Found {
  if (path.length > SMTP_LIMITS.pathOctets || utf8Octets(path) > SMTP_LIMITS.pathOctets) return { mailbox: undefined, text: path };
  const text = withoutRoute(path.slice(1, -1));
  return { mailbox: text === undefined ? undefined : parseMailbox(text, { smtputf8: true }), text: path.slice(1, -1) };
}

const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e\u00a0-\u{10ffff}]+))?$/u;

const NO_PARAMETERS: Parsed<ReadonlyMap<string, string | undefined>> = { ok: true, value: new Map() };

/** `esmtp-param *(SP esmtp-param)` (RFC 5321 §4.1.2): keywords in upper case, `undefined` for a keyword without value. */
function readParameters(text: string, known: ReadonlySet<string>): Parsed<ReadonlyMap<string, string | undefined>> {
  if (text === '') return NO_PARAMETERS;
  const found = new Map<string, string | undefined>();
  for (const parameter of text.split(' ')) {
    const match = PARAMETER.exec(parameter);
    const keyword = match?.[1]?.toUpperCase();
    if (keyword === undefined) return syntax('Bad parameter syntax');
    if (!known.has(keyword)) return refuse(smtpReply(555, [5, 4], 'Parameter not known here'));
    if (found.has(keyword)) return syntax('Parameter given twice');
    found.set(keyword, match?.[2]);
  }
  return { ok: true, value: found };
}

const MAIL_PARAMETERS = ['SIZE', 'BODY', 'SMTPUTF8', 'RET', 'ENVID'];
const MAIL_WITHOUT_AUTH: ReadonlySet<string> = new Set(MAIL_PARAMETERS);
const MAIL_WITH_AUTH: ReadonlySet<string> = new Set([...MAIL_PARAMETERS, 'AUTH']);
const RCPT_PARAMETERS: ReadonlySet<string> = new Set(['NOTIFY', 'ORCPT']);

const isOneOf = <T extends string>(value: string | undefined, allowed: readonly T[]): value is T => allowed.some((one) => one === value);

/** `<>` or a mailbox in xtext (RFC 4954 §5). Checked and then let go: we trust no client's word about it. */
function isAuthParameter(value: string): boolean {
  const decoded = decodeXtext(value);
  return decoded === '<>' || (decoded !== undefined && parseMailbox(decoded, { smtputf8: true }) !== undefined);
}

type MailParameters = Omit<MailCommand, 'reversePath'>;

function readMailParameters(given: ReadonlyMap<string, string | undefined>): Parsed<MailParameters> {
  const size = given.get('SIZE');
  if (given.has('SIZE') && !(size !== undefined && size.length <= SMTP_LIMITS.sizeDigits && /^\d+$/.test(size))) return syntax('Bad SIZE');
  const body = given.get('BODY')?.toUpperCase();
  if (given.has('BODY') && !isOneOf(body, ['7BIT', '8BITMIME'])) return syntax('Bad BODY');
  if (given.get('SMTPUTF8') !== undefined) return syntax('SMTPUTF8 has no value');
  const ret = given.get('RET')?.toUpperCase();
  if (given.has('RET') && !isOneOf(ret, ['FULL', 'HDRS'])) return syntax('Bad RET');
  const wireEnvid = given.get('ENVID');
  const envid = wireEnvid === undefined || wireEnvid.length > SMTP_LIMITS.envidOctets ? undefined : decodeXtext(wireEnvid);
  if (given.has('ENVID') && !/^[\x20-\x7e]+$/.test(envid ?? '')) return syntax('Bad ENVID');
  if (given.has('AUTH') && !isAuthParameter(given.get('AUTH') ?? '')) return syntax('Bad AUTH');
  const value: MailParameters = {
    smtputf8: given.has('SMTPUTF8'),
    body: isOneOf(body, ['7BIT', '8BITMIME']) ? body : undefined,
    octets: size === undefined ? undefined : Number(size),
    ret: isOneOf(ret, ['FULL', 'HDRS']) ? ret : undefined,
    envid: envid ?? '',
  };
  return { ok: true, value };
}

/** Non-ASCII without SMTPUTF8 (RFC 6531 §3.5). */
const NEEDS_SMTPUTF8 = smtpReply(553, [6, 7], 'Non-ASCII address needs SMTPUTF8');
const BAD_SENDER = smtpReply(501, [1, 7], 'Bad sender address syntax');
const BAD_RECIPIENT = smtpReply(501, [1, 3], 'Bad recipient address syntax');

/**
 * What follows `MAIL ` (RFC 5321 §4.1.1.2). `auth`: AUTH is offered, so its parameter is known.
 *
 * Replies: 501 5.5.4 syntax and bad values, 501 5.1.7 address, 553 5.6.7 non-ASCII address without SMTPUTF8, 555 5.5.4 unknown parameter.
 */
export function parseMail(argument: string, { auth }: { auth: boolean }): Parsed<MailCommand> {
  const split = splitArgument(argument, 'FROM:');
  if (!split) return syntax('Syntax: MAIL FROM:<address> [parameters]');
  const given = readParameters(split.parameters, auth ? MAIL_WITH_AUTH : MAIL_WITHOUT_AUTH);
  if (!given.ok) return given;
  const parameters = readMailParameters(given.value);
  if (!parameters.ok) return parameters;
  if (split.path === '<>') return { ok: true, value: { reversePath: undefined, ...parameters.value } };
  const { mailbox } = readPath(split.path);
  if (!mailbox) return refuse(BAD_SENDER);
  if (!parameters.value.smtputf8 && !isAscii(split.path)) return refuse(NEEDS_SMTPUTF8);
  return { ok: true, value: { reversePath: mailbox, ...parameters.value } };
}

/**
 * What follows `RCPT ` (RFC 5321 §4.1.1.3). `smtputf8`: the transaction's MAIL had that parameter.
 *
 * Replies as `parseMail`, with 501 5.1.3 for the address.
 */
export function parseRcpt(argument: string, { smtputf8 }: { smtputf8: boolean }): Parsed<RcptCommand> {
  const split = splitArgument(argument, 'TO:');
  if (!split) return syntax('Syntax: RCPT TO:<address> [parameters]');
  const given = readParameters(split.parameters, RCPT_PARAMETERS);
  if (!given.ok) return given;
  const notify = given.value.has('NOTIFY') ? parseNotify(given.value.get('NOTIFY') ?? '') : 0;
  if (notify === undefined) return syntax('Bad NOTIFY');
  const orcpt = given.value.has('ORCPT') ? parseOrcpt(given.value.get('ORCPT') ?? '', { smtputf8 }) : '';
  if (orcpt === undefined) return syntax('Bad ORCPT');
  const { mailbox, text } = readPath(split.path);
  const forwardPath = mailbox ?? (text.toLowerCase() === 'postmaster' ? 'postmaster' : undefined);
  if (!forwardPath) return refuse(BAD_RECIPIENT);
  if (!smtputf8 && !isAscii(split.path)) return refuse(NEEDS_SMTPUTF8);
  return { ok: true, value: { forwardPath, notify, orcpt } };
}
