import type { Listing } from '../store/maildrop.ts';
import type { Line } from './lines.ts';
import { type Credentials, decodeUtf8, parsePlain } from './sasl.ts';

/*
 * The POP3 session (RFC 1939) without I/O: a line in, effects out. Whoever drives it performs the effects in order and
 * gives the next line when the last one is done.
 */

export type Effect =
  | { readonly do: 'reply'; readonly ok: boolean; readonly text: string }
  /** A multi-line answer: `text`, then the lines, which need no dot-stuffing. Lazy: a maildrop may be long. */
  | { readonly do: 'lines'; readonly text: string; readonly lines: Iterable<string> }
  /** An empty challenge (RFC 5034 §4). */
  | { readonly do: 'challenge' }
  /** Answer +OK, drop what has arrived, hand-shake; then call `secured`. */
  | { readonly do: 'startTls' }
  /** Ask the directory, take the maildrop, then call `onLogin`. */
  | { readonly do: 'login'; readonly credentials: Credentials }
  /** Answer with the message: all of it, or its header and so many lines of its body. */
  | { readonly do: 'retrieve'; readonly uid: number; readonly bodyLines?: number }
  /** Delete these, then answer as that went. */
  | { readonly do: 'update'; readonly uids: readonly number[] }
  | { readonly do: 'close'; readonly because: 'quit' | 'errors' };

export type LoginResult =
  | { readonly is: 'open'; readonly listing: Listing }
  | { readonly is: 'wrong' | 'inUse' | 'limited' | 'unavailable' };

export interface Pop3Session {
  onLine(line: Line): readonly Effect[];
  onLogin(result: LoginResult): readonly Effect[];
  /** TLS is in force from now on. What was said before it is forgotten (RFC 2595 §4). */
  secured(): void;
  /** Longest line that may come next, CRLF included. */
  readonly maxLineOctets: number;
}

export interface SessionLimits {
  readonly maxErrors: number;
  readonly maxAuthFailures: number;
}

/** RFC 2449 §4 */
const COMMAND_MAX_OCTETS = 255;
/** Room for any name and password that PLAIN can carry, base64 (RFC 4616 §2: 255 octets each, more for the password). */
const RESPONSE_MAX_OCTETS = 2048;

interface Transaction {
  readonly listing: Listing;
  /** Indices, deleted at QUIT and at QUIT only (RFC 1939 §6). */
  readonly marked: Set<number>;
  /** Of the messages that are not marked. */
  octets: number;
}

interface State {
  readonly limits: SessionLimits;
  isSecure: boolean;
  user: string | undefined;
  awaitsResponse: boolean;
  transaction: Transaction | undefined;
  errors: number;
  authFailures: number;
}

const ok = (text: string): Effect[] => [{ do: 'reply', ok: true, text }];

/** A refused command; too many of them end the session. */
function refuse(state: State, text: string): Effect[] {
  state.errors += 1;
  const reply: Effect = { do: 'reply', ok: false, text };
  return state.errors >= state.limits.maxErrors ? [reply, { do: 'close', because: 'errors' }] : [reply];
}

type Verb = (state: State, argument: string) => Effect[];
type TransactionVerb = (state: State, argument: string, transaction: Transaction) => Effect[];

/** RFC 2449 §6, RFC 2595 §4, RFC 5034 §3. Logins are announced only where they are allowed. */
function capabilities(state: State): Effect[] {
  const login = state.isSecure ? ['USER', 'SASL PLAIN'] : [];
  const startTls = state.isSecure || state.transaction ? [] : ['STLS'];
  const lines = [
    'TOP',
    'UIDL',
    'RESP-CODES',
    'AUTH-RESP-CODE',
    'PIPELINING',
    'EXPIRE NEVER',
    ...login,
    ...startTls,
    'IMPLEMENTATION Angarium',
  ];
  return [{ do: 'lines', text: 'capabilities follow', lines }];
}

/** A matter for whoever set the client up, not for its next try (RFC 3206 §4). */
const PLAIN_TEXT = '[SYS/PERM] no login without TLS: use STLS first';

function user(state: State, name: string): Effect[] {
  if (!state.isSecure) return refuse(state, PLAIN_TEXT);
  if (name === '') return refuse(state, 'USER wants a name');
  state.user = name;
  return ok('now the password');
}

function pass(state: State, password: string): Effect[] {
  if (!state.isSecure) return refuse(state, PLAIN_TEXT);
  if (state.user === undefined) return refuse(state, 'USER comes first');
  const login = decodeUtf8(Buffer.from(state.user, 'latin1'));
  const secret = decodeUtf8(Buffer.from(password, 'latin1'));
  state.user = undefined;
  if (!login || !secret) return onLogin(state, { is: 'wrong' });
  return [{ do: 'login', credentials: { login, password: secret } }];
}

function auth(state: State, argument: string): Effect[] {
  if (!state.isSecure) return refuse(state, PLAIN_TEXT);
  const [mechanism, initial, ...more] = argument.split(' ');
  if (mechanism?.toUpperCase() !== 'PLAIN' || more.length > 0) return refuse(state, 'the mechanism is PLAIN');
  state.user = undefined;
  if (initial !== undefined) return respond(state, initial);
  state.awaitsResponse = true;
  return [{ do: 'challenge' }];
}

function respond(state: State, response: string): Effect[] {
  if (response === '*') return refuse(state, 'cancelled');
  const credentials = parsePlain(response);
  return credentials === undefined ? refuse(state, 'not a response of PLAIN') : [{ do: 'login', credentials }];
}

function onLogin(state: State, result: LoginResult): Effect[] {
  switch (result.is) {
    case 'open': {
      const octets = result.listing.octets.reduce((sum, each) => sum + each, 0);
      state.transaction = { listing: result.listing, marked: new Set(), octets };
      return ok(`${result.listing.uids.length} messages (${octets} octets)`);
    }
    case 'wrong': {
      state.authFailures += 1;
      const reply: Effect = { do: 'reply', ok: false, text: '[AUTH] wrong name or password' };
      return state.authFailures >= state.limits.maxAuthFailures ? [reply, { do: 'close', because: 'errors' }] : [reply];
    }
    case 'inUse':
      return refuse(state, '[IN-USE] another session has this maildrop');
    case 'limited':
      return refuse(state, '[SYS/TEMP] too many wrong passwords from your address; try later');
    case 'unavailable':
      return refuse(state, '[SYS/TEMP] logins are not possible now; try later');
  }
}

function startTls(state: State, argument: string): Effect[] {
  if (argument !== '') return refuse(state, 'STLS has no argument');
  return state.isSecure ? refuse(state, 'TLS is in force already') : [{ do: 'startTls' }];
}

/** Index of a message that is there and not marked. */
function indexOf(transaction: Transaction, argument: string): number | undefined {
  const index = /^[1-9]\d{0,9}$/.test(argument) ? Number(argument) - 1 : -1;
  return index >= 0 && index < transaction.listing.uids.length && !transaction.marked.has(index) ? index : undefined;
}

/** A verb about one message. */
const ofMessage =
  (
    act: (at: { readonly index: number; readonly uid: number; readonly octets: number }, transaction: Transaction) => Effect[],
  ): TransactionVerb =>
  (state, argument, transaction) => {
    const index = indexOf(transaction, argument);
    const uid = transaction.listing.uids[index ?? -1];
    const octets = transaction.listing.octets[index ?? -1];
    if (index === undefined || uid === undefined || octets === undefined) return refuse(state, 'no such message');
    return act({ index, uid, octets }, transaction);
  };

function* unmarked({ listing, marked }: Transaction, tell: (index: number) => string): Generator<string> {
  for (let index = 0; index < listing.uids.length; index++) if (!marked.has(index)) yield `${index + 1} ${tell(index)}`;
}

const octetsOf =
  ({ listing }: Transaction) =>
  (index: number): string =>
    `${listing.octets[index]}`;
/** Never given to another message: the store uses no UID twice under one UIDVALIDITY (RFC 1939 §7). */
const uidlOf =
  ({ listing }: Transaction) =>
  (index: number): string =>
    `${listing.uidvalidity}.${listing.uids[index]}`;

/** A verb that tells of one message, or of all of them without an argument. */
const listing =
  (text: string, of: (transaction: Transaction) => (index: number) => string): TransactionVerb =>
  (state, argument, transaction) => {
    if (argument === '') return [{ do: 'lines', text, lines: unmarked(transaction, of(transaction)) }];
    return ofMessage(({ index }) => ok(`${index + 1} ${of(transaction)(index)}`))(state, argument, transaction);
  };

function top(state: State, argument: string, transaction: Transaction): Effect[] {
  const [number = '', lines = '', ...more] = argument.split(' ');
  if (!/^\d{1,9}$/.test(lines) || more.length > 0) return refuse(state, 'TOP wants a message and a number of lines');
  return ofMessage(({ uid }) => [{ do: 'retrieve', uid, bodyLines: Number(lines) }])(state, number, transaction);
}

const remove = ofMessage(({ index, octets }, transaction) => {
  transaction.marked.add(index);
  transaction.octets -= octets;
  return ok('marked, deleted at QUIT');
});

function reset(_state: State, _argument: string, transaction: Transaction): Effect[] {
  for (const index of transaction.marked) transaction.octets += transaction.listing.octets[index] ?? 0;
  transaction.marked.clear();
  return ok(`${transaction.listing.uids.length} messages (${transaction.octets} octets)`);
}

const update: TransactionVerb = (_state, _argument, { listing: { uids }, marked }) => [
  { do: 'update', uids: [...marked].flatMap((index) => uids[index] ?? []) },
  { do: 'close', because: 'quit' },
];

const bare =
  <Rest extends unknown[]>(verb: (state: State, argument: string, ...rest: Rest) => Effect[]) =>
  (state: State, argument: string, ...rest: Rest): Effect[] =>
    argument === '' ? verb(state, argument, ...rest) : refuse(state, 'this command has no argument');

/** One table a phase: a verb that is not in it is out of sequence. Maps: `__proto__` is not a verb. */
const AUTHORIZATION: ReadonlyMap<string, Verb> = new Map<string, Verb>([
  ['CAPA', bare(capabilities)],
  ['USER', user],
  ['PASS', pass],
  ['AUTH', auth],
  ['STLS', startTls],
  ['QUIT', bare(() => [...ok('bye'), { do: 'close', because: 'quit' }])],
]);
const TRANSACTION: ReadonlyMap<string, TransactionVerb> = new Map<string, TransactionVerb>([
  ['CAPA', bare(capabilities)],
  ['STAT', bare((_state, _argument, { listing: { uids }, marked, octets }) => ok(`${uids.length - marked.size} ${octets}`))],
  ['LIST', listing('sizes follow', octetsOf)],
  ['UIDL', listing('unique ids follow', uidlOf)],
  ['RETR', ofMessage(({ uid }) => [{ do: 'retrieve', uid }])],
  ['TOP', top],
  ['DELE', remove],
  ['NOOP', bare(() => ok('nothing done'))],
  ['RSET', bare(reset)],
  ['QUIT', bare(update)],
]);

function isPrintable(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 32 || code === 127) return false;
  }
  return true;
}

function onText(state: State, text: string): Effect[] {
  if (state.awaitsResponse) {
    state.awaitsResponse = false;
    return respond(state, text);
  }
  if (!isPrintable(text)) return refuse(state, 'control characters in a command');
  const space = text.indexOf(' ');
  const verb = (space < 0 ? text : text.slice(0, space)).toUpperCase();
  const argument = space < 0 ? '' : text.slice(space + 1);
  const { transaction } = state;
  if (transaction === undefined) return (AUTHORIZATION.get(verb) ?? unknown)(state, argument);
  return (TRANSACTION.get(verb) ?? unknown)(state, argument, transaction);
}

const unknown = (state: State): Effect[] => refuse(state, 'no such command here');

export function createPop3Session(options: SessionLimits & { readonly isSecure: boolean }): Pop3Session {
  const state: State = {
    limits: options,
    isSecure: options.isSecure,
    user: undefined,
    awaitsResponse: false,
    transaction: undefined,
    errors: 0,
    authFailures: 0,
  };
  return {
    onLine: (line) => {
      if (line.is === 'line') return onText(state, line.text);
      state.awaitsResponse = false;
      return refuse(state, line.is === 'tooLong' ? 'line too long' : 'lines end with CRLF');
    },
    onLogin: (result) => onLogin(state, result),
    secured: () => {
      state.isSecure = true;
      state.user = undefined;
    },
    get maxLineOctets() {
      return state.awaitsResponse ? RESPONSE_MAX_OCTETS : COMMAND_MAX_OCTETS;
    },
  };
}
