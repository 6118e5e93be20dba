import type { AuthenticateResponse, Directory } from '@angarium/rpc';
import type { Clock, Config, Guesses, Logger } from '@angarium/runtime';
import type { Hold } from '@angarium/sql';
import type { Meters, SessionEnd } from '../meters.ts';
import type { Maildrop } from '../store/maildrop.ts';
import type { Credentials } from './sasl.ts';
import { createPop3Session, type Effect, type LoginResult, type Pop3Session } from './session.ts';
import { dotStuffed, topOf } from './text.ts';
import type { Wire } from './wire.ts';
import { ConnectionLost } from './wire.ts';

export interface ConnectionDeps {
  readonly config: Config['mailbox'];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meters: Meters;
  readonly directory: Directory;
  readonly guesses: Guesses;
  /** Holds the maildrop of an account against all other sessions (RFC 1939 §4). */
  readonly hold: (account: string, onLost: () => void) => Promise<Hold | undefined>;
  readonly openMaildrop: (account: string) => Promise<Maildrop>;
  /** Hand-shakes with the certificate that is in force. */
  readonly secure: (wire: Wire) => Promise<void>;
}

export interface Connection {
  /** The connection is destroyed when the clock passes it: every wait moves it. */
  deadlineMs: number;
  readonly untilMs: number;
  /** A command is being carried out. */
  isBusy: boolean;
  /** Set: ends after the running command. */
  isStopping: boolean;
  isLoggedIn: boolean;
  destroy(end: SessionEnd): void;
  /** Resolves when the session is over, its maildrop free and the socket closed. */
  readonly done: Promise<void>;
}

interface Running {
  readonly deps: ConnectionDeps;
  readonly wire: Wire;
  readonly client: string;
  readonly session: Pop3Session;
  readonly connection: { deadlineMs: number; isBusy: boolean; isStopping: boolean; isLoggedIn: boolean };
  account: string | undefined;
  hold: Hold | undefined;
  maildrop: Maildrop | undefined;
}

export interface ConnectionOptions {
  readonly wire: Wire;
  readonly client: string;
  /** TLS from the first octet. */
  readonly isTls: boolean;
}

export function startConnection(deps: ConnectionDeps, { wire, client, isTls }: ConnectionOptions): Connection {
  const { config, clock, meters, logger } = deps;
  const nowMs = clock.nowMs();
  const state = { deadlineMs: nowMs, isBusy: true, isStopping: false, isLoggedIn: false };
  const session = createPop3Session({ ...config, isSecure: isTls });
  const running: Running = { deps, wire, client, session, connection: state, account: undefined, hold: undefined, maildrop: undefined };
  let forcedEnd: SessionEnd | undefined;
  const run = async () => {
    const end = await serve(running, isTls).catch((error: unknown) => endOf(running, error));
    // Free before the client hears the last answer: it may come again at once.
    await running.hold?.release();
    wire.end();
    await wire.closed;
    meters.sessionEnded(forcedEnd ?? end);
    logger.debug({ client, account: running.account, end: forcedEnd ?? end }, 'mailbox.session.ended');
  };
  return Object.assign(state, {
    untilMs: nowMs + config.maxSessionMs,
    destroy: (end: SessionEnd) => {
      forcedEnd ??= end;
      wire.destroy();
    },
    done: run(),
  });
}

/** A lost connection is everyday; anything else is told, and the client must not take what it got for the whole. */
function endOf({ wire, deps, client, account }: Running, error: unknown): SessionEnd {
  if (!(error instanceof ConnectionLost)) {
    deps.logger.error({ client, account, reason: String(error) }, 'mailbox.session.failed');
  }
  wire.destroy();
  return 'lost';
}

function touch({ deps, connection }: Running, waitMs: number): void {
  connection.deadlineMs = deps.clock.nowMs() + waitMs;
}

async function serve(running: Running, isTls: boolean): Promise<SessionEnd> {
  const { deps, wire, session, connection } = running;
  touch(running, deps.config.tlsHandshakeTimeoutMs);
  if (isTls) await deps.secure(wire);
  wire.say('+OK Angarium POP3 ready\r\n');
  for (;;) {
    touch(running, deps.config.idleTimeoutMs);
    connection.isBusy = false;
    if (connection.isStopping) return 'stopped';
    const line = await wire.nextLine(session.maxLineOctets);
    connection.isBusy = true;
    if (line === undefined) return 'lost';
    const end = await performAll(running, session.onLine(line));
    if (end !== undefined) return end;
  }
}

async function performAll(running: Running, effects: readonly Effect[]): Promise<SessionEnd | undefined> {
  for (const effect of effects) {
    touch(running, running.deps.config.idleTimeoutMs);
    const end = await perform(running, effect);
    if (end !== undefined) return end;
  }
  return undefined;
}

async function perform(running: Running, effect: Effect): Promise<SessionEnd | undefined> {
  const { wire } = running;
  switch (effect.do) {
    case 'reply':
      wire.say(`${effect.ok ? '+OK' : '-ERR'} ${effect.text}\r\n`);
      return undefined;
    case 'lines':
      await sayLines(running, effect.text, effect.lines);
      return undefined;
    case 'challenge':
      wire.say('+ \r\n');
      return undefined;
    case 'startTls':
      wire.say('+OK begin TLS\r\n');
      touch(running, running.deps.config.tlsHandshakeTimeoutMs);
      await running.deps.secure(wire);
      running.session.secured();
      return undefined;
    case 'login':
      return performAll(running, running.session.onLogin(await logIn(running, effect.credentials)));
    case 'retrieve':
      await retrieve(running, effect);
      return undefined;
    case 'update':
      await update(running, effect.uids);
      return undefined;
    case 'close':
      return effect.because;
  }
}

const FLUSH_LINES = 500;

async function sayLines(running: Running, text: string, lines: Iterable<string>): Promise<void> {
  const { wire } = running;
  wire.say(`+OK ${text}\r\n`);
  let count = 0;
  for (const line of lines) {
    wire.say(`${line}\r\n`);
    if (++count % FLUSH_LINES !== 0) continue;
    await wire.flush();
    touch(running, running.deps.config.idleTimeoutMs);
  }
  wire.say('.\r\n');
}

async function logIn(running: Running, { login, password }: Credentials): Promise<LoginResult> {
  const { deps, client, wire } = running;
  const { clock, config, guesses, logger, meters } = deps;
  if (!guesses.begin(client)) {
    meters.loggedIn('limited');
    return { is: 'limited' };
  }
  try {
    const { accepted, account } = await judge(running, { login, password });
    if (accepted) return await takeMaildrop(running, account);
  } catch (error) {
    logger.warn({ client, reason: String(error) }, 'mailbox.login.failed');
    meters.loggedIn('unavailable');
    return { is: 'unavailable' };
  }
  meters.loggedIn('wrong');
  // Without the name: people type their password there.
  logger.info({ client }, 'mailbox.login.refused');
  let cancel = () => {};
  const pause = new Promise<void>((resolve) => {
    cancel = clock.after(config.authFailureDelayMs, resolve);
  });
  await Promise.race([pause, wire.closed]);
  cancel();
  return { is: 'wrong' };
}

/** Asks the directory. Only what it calls wrong stays counted as a guess. */
async function judge({ deps, client }: Running, credentials: Credentials): Promise<AuthenticateResponse> {
  let answer: AuthenticateResponse | undefined;
  try {
    answer = await deps.directory.authenticate(credentials);
    return answer;
  } finally {
    if (answer?.accepted !== false) deps.guesses.right(client);
  }
}

async function takeMaildrop(running: Running, account: string): Promise<LoginResult> {
  const { deps, client, wire } = running;
  const hold = await deps.hold(account, () => {
    deps.logger.warn({ client, account, cure: 'the session is ended' }, 'mailbox.maildrop.lost');
    wire.destroy();
  });
  if (hold === undefined) {
    deps.meters.loggedIn('in_use');
    return { is: 'inUse' };
  }
  try {
    running.maildrop = await deps.openMaildrop(account);
  } catch (error) {
    await hold.release();
    throw error;
  }
  running.hold = hold;
  running.account = account;
  running.connection.isLoggedIn = true;
  deps.meters.loggedIn('accepted');
  deps.logger.info({ client, account, messages: running.maildrop.listing.uids.length }, 'mailbox.login.accepted');
  return { is: 'open', listing: running.maildrop.listing };
}

/** A message that fails while it is sent ends the connection: its end mark must not follow. */
async function retrieve(running: Running, { uid, bodyLines }: { readonly uid: number; readonly bodyLines?: number }): Promise<void> {
  const { wire, deps, account } = running;
  let message: Awaited<ReturnType<Maildrop['read']>>;
  try {
    message = await running.maildrop?.read(uid);
  } catch (error) {
    deps.logger.error({ account, uid, reason: String(error) }, 'mailbox.message.unreadable');
    wire.say('-ERR [SYS/TEMP] the message cannot be read now\r\n');
    return;
  }
  if (message === undefined) {
    wire.say('-ERR the message is gone\r\n');
    return;
  }
  wire.say(bodyLines === undefined ? `+OK ${message.octets} octets\r\n` : '+OK top follows\r\n');
  let sent = 0;
  for await (const chunk of dotStuffed(bodyLines === undefined ? message.chunks : topOf(message.chunks, bodyLines))) {
    await wire.write(chunk);
    sent += chunk.length;
    touch(running, deps.config.idleTimeoutMs);
  }
  deps.meters.retrieved(sent);
  wire.say('.\r\n');
}

async function update(running: Running, uids: readonly number[]): Promise<void> {
  const { wire, deps, account } = running;
  try {
    if (uids.length > 0) {
      await running.maildrop?.remove(uids);
      deps.meters.removed(uids.length);
      deps.logger.info({ account, messages: uids.length }, 'mailbox.messages.removed');
    }
    wire.say('+OK bye\r\n');
  } catch (error) {
    deps.logger.error({ account, messages: uids.length, reason: String(error) }, 'mailbox.removal.failed');
    wire.say('-ERR [SYS/TEMP] deleted messages were not removed\r\n');
  }
}
