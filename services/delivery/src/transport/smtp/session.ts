import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import SMTPConnection, { type SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection';
import type { Slot } from '../../quota/allowance.ts';
import { type HostReply, parseReply } from './reply.ts';

/** Longest waits of RFC 5321 §4.5.3.2, in milliseconds. */
export interface SessionTimeouts {
  readonly greetingMs: number;
  readonly tlsMs: number;
  /** EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET. */
  readonly commandMs: number;
  /** For the 354 after DATA. */
  readonly dataMs: number;
  /** For one block of the message to leave. */
  readonly blockMs: number;
  /** For the reply to the final dot. */
  readonly finalMs: number;
}

export interface SessionOptions {
  /** Connected. */
  readonly socket: Socket;
  /** Room that it takes below the limits of its site. */
  readonly slot?: Slot | undefined;
  /** Name of the host; for SNI and the certificate, unless it is an address. */
  readonly host: string;
  /** Ours, for EHLO. */
  readonly hostname: string;
  readonly tls: 'clear' | 'opportunistic' | 'required' | 'implicit';
  readonly secureContext: SecureContext;
  /** The certificate must be good for `host`. */
  readonly verified: boolean;
  /** The login may go over a connection in clear. */
  readonly clearLogin: boolean;
  readonly timeouts: SessionTimeouts;
  readonly nowMs: () => number;
}

/** Why a session ended, or never began. `reply` where the host said so. */
export interface SessionFailure {
  readonly kind: 'lost' | 'timeout' | 'tls' | 'refused' | 'protocol' | 'closed';
  readonly text: string;
  readonly reply?: HostReply;
}

/** `auth`: the host is fine, our login is not. */
export type OpenFailure = SessionFailure | { readonly kind: 'auth'; readonly text: string; readonly reply?: undefined };

export interface Login {
  readonly user: string;
  readonly pass: string;
}

type Action = ((raw: string) => void) & { timeoutMs?: number };

/** What nodemailer's types keep to themselves. A bump of nodemailer must pass this folder's tests. */
interface Internals {
  _responseActions: Action[];
  _responseQueue: string[];
  _remainder: string;
  _ehloLines?: string[];
  _destroyed: boolean;
  _onConnect(): void;
  _onData(chunk: Buffer): void;
  _onError(error: Error, type: string, data: string | false, command: string): void;
  _onResponseTooLarge(): void;
  _onServerClosing(raw: string): void;
  _processResponse(): void;
  _parseEhloExtensions(raw: string): void;
  _sendCommand(line: string, shown?: string): void;
  _startPhase(timeoutMs: number, error: Error): void;
  _clearPhase(): void;
  _remainingSetupTime(): number;
}

const Base = SMTPConnection as unknown as new (options: SMTPConnectionOptions) => SMTPConnection & Internals;

/** Longest reply that is read, all its lines together. */
const REPLY_OCTETS = 65_536;
/** Replies received and not asked for yet; more is a flood. */
const MAX_QUEUED_REPLIES = 2000;
const QUIT_MS = 5000;
/** Longest wait for the host's end of a connection that we have closed. */
const CLOSE_MS = 2000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

function connectionOptions(o: SessionOptions): SMTPConnectionOptions {
  return {
    connection: o.socket,
    host: o.host,
    name: o.hostname,
    secure: o.tls === 'implicit',
    ignoreTLS: o.tls === 'clear',
    requireTLS: o.tls === 'required',
    opportunisticTLS: o.tls === 'opportunistic',
    tls: { secureContext: o.secureContext, rejectUnauthorized: o.verified },
    maxResponseSize: REPLY_OCTETS,
    // Deadlines are ours, below.
    socketTimeout: LONGEST_TIMER_MS,
    socketCloseTimeout: CLOSE_MS,
    logger: false,
  };
}

/**
 * A connection to one host: nodemailer's state machine for greeting, EHLO, STARTTLS, AUTH and replies, with the
 * time limits of RFC 5321 §4.5.3.2 as deadlines that somebody else looks at (`expire`), so that no message costs a timer.
 */
export class SmtpSession extends Base {
  /** EHLO keywords with their parameters; empty after HELO. */
  extensions: ReadonlyMap<string, string> = new Map();
  /** Transactions begun. */
  transactions = 0;
  /** MAIL was said and its transaction is not known to be over: RSET comes first. */
  dirty = false;
  failure: SessionFailure | undefined;
  readonly #options: SessionOptions;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #overdue = '';
  #onFailure: ((failure: SessionFailure) => void) | undefined;

  constructor(options: SessionOptions) {
    super(connectionOptions(options));
    this.#options = options;
    this.on('error', (error: Error) => this.#fail(this.#failureOf(error)));
    this.on('end', () => this.#fail({ kind: 'lost', text: 'connection closed' }));
  }

  /** Greeting, EHLO, TLS; and AUTH when there is a login. Undefined: ready for transactions. */
  open(login: Login | undefined): Promise<OpenFailure | undefined> {
    return new Promise((resolve) => {
      this.#onFailure = resolve;
      const done = (failure: OpenFailure | undefined) => {
        if (this.failure) return;
        this.onFailure(undefined);
        resolve(failure);
      };
      this.connect((error) => {
        if (error) this.#fail(this.#failureOf(error));
        else if (login) this.#logIn(login, done);
        else done(undefined);
      });
    });
  }

  #logIn(login: Login, done: (failure: OpenFailure | undefined) => void): void {
    if (!this.secure && !this.#options.clearLogin) done({ kind: 'auth', text: 'the host offers no TLS to log in under' });
    else if (!this.allowsAuth) done({ kind: 'auth', text: 'the host does not offer AUTH' });
    else this.login(login, (refused) => done(refused ? { kind: 'auth', text: refused.message } : undefined));
  }

  get slot(): Slot | undefined {
    return this.#options.slot;
  }

  get timeouts(): SessionTimeouts {
    return this.#options.timeouts;
  }

  /** "TLSv1.3"; undefined: it is in clear. */
  get tlsVersion(): string | undefined {
    return this._socket instanceof TLSSocket ? (this._socket.getProtocol() ?? '') : undefined;
  }

  get usable(): boolean {
    return this.failure === undefined && !this._destroyed;
  }

  /** Ends the session if what it waits for is overdue. */
  expire(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) this._onError(new Error(this.#overdue), 'ETIMEDOUT', false, 'CONN');
  }

  /** QUIT; its answer is waited for, but not long. */
  leave(): void {
    if (this.usable) {
      this.quit();
      this.expect(Math.min(this.#options.timeouts.commandMs, QUIT_MS), 'no reply to QUIT');
    } else this.close();
  }

  /** Ends the connection now. */
  drop(): void {
    const socket = this._socket;
    this.close();
    if (socket) socket.destroy();
  }

  /** Sends a command and takes its reply; replies come in the order of the commands. */
  ask(line: string, timeoutMs: number, take: (reply: HostReply) => void): void {
    this.awaitReply(timeoutMs, take);
    this._sendCommand(line);
  }

  /** Sends commands, separated by CRLF, whose replies are awaited already. */
  say(lines: string): void {
    this._sendCommand(lines);
  }

  /** Takes the next reply, to something that is sent by `say` or `write`. */
  awaitReply(timeoutMs: number, take: (reply: HostReply) => void): void {
    this._responseActions.push(Object.assign((raw: string) => take(parseReply(raw)), { timeoutMs }));
  }

  /** `written`: the kernel has taken it. Not called when the connection is lost. */
  write(octets: Uint8Array, written?: () => void): void {
    if (this._socket) this._socket.write(octets, (error) => (error ? undefined : written?.()));
  }

  /** What the host has sent without having been asked. */
  get unasked(): HostReply | undefined {
    const raw = this._responseQueue[0] ?? this._remainder;
    return raw === '' ? undefined : parseReply(raw);
  }

  /** Who is told when the session ends: told at once if it has. Undefined: nobody. */
  onFailure(tell: ((failure: SessionFailure) => void) | undefined): void {
    this.#onFailure = tell;
    if (!tell) this.#deadlineMs = Number.POSITIVE_INFINITY;
    else if (this.failure) tell(this.failure);
  }

  /** Ends the session by our own decision. */
  refuse(text: string, reply?: HostReply): void {
    this.#fail({ kind: 'protocol', text, ...(reply && { reply }) });
    this.close();
  }

  /** The session ends when `timeoutMs` pass without anything else being expected. */
  expect(timeoutMs: number, overdue: string): void {
    this.#deadlineMs = this.#options.nowMs() + timeoutMs;
    this.#overdue = overdue;
  }

  #fail(failure: SessionFailure): void {
    if (this.failure) return;
    this.failure = failure;
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    const tell = this.#onFailure;
    this.#onFailure = undefined;
    tell?.(failure);
  }

  #failureOf(error: Error & { readonly code?: string | undefined; readonly response?: string | undefined }): SessionFailure {
    const reply = error.response ? parseReply(error.response) : undefined;
    const said = reply && { reply };
    const text = reply?.text ?? error.message;
    if (this.upgrading || error.code === 'ETLS') return { kind: 'tls', text, ...said };
    if (error.code === 'ETIMEDOUT') return { kind: 'timeout', text };
    if (error.message.startsWith('Unexpected Response') || error.message.startsWith('Server response'))
      return { kind: 'protocol', text, ...said };
    if (reply) return { kind: 'refused', text, reply };
    return { kind: 'lost', text };
  }

  override _onServerClosing(raw: string): void {
    const reply = parseReply(raw);
    this.#fail({ kind: 'closed', text: reply.text, reply });
    super._onServerClosing(raw);
  }

  override _onData(chunk: Buffer): void {
    if (this._responseQueue.length > MAX_QUEUED_REPLIES) this._onResponseTooLarge();
    else super._onData(chunk);
  }

  override _processResponse(): void {
    const awaited = this._responseActions[0];
    super._processResponse();
    const next = this._responseActions[0];
    // Empty lines answer nothing and buy no time.
    if (next && next !== awaited && !this.upgrading) this.expect(next.timeoutMs ?? this.#options.timeouts.commandMs, 'no reply in time');
  }

  override _sendCommand(line: string, shown?: string): void {
    this.expect(this._responseActions[0]?.timeoutMs ?? this.#options.timeouts.commandMs, 'no reply in time');
    super._sendCommand(line, shown);
  }

  override _parseEhloExtensions(raw: string): void {
    super._parseEhloExtensions(raw);
    const words = (this._ehloLines ?? []).map((line) => /^(\S+)\s*(.*)$/.exec(line));
    this.extensions = new Map(words.flatMap((word) => (word?.[1] ? [[word[1].toUpperCase(), word[2] ?? '']] : [])));
  }

  // The phases of setting up, without a timer each.
  override _startPhase(timeoutMs: number, error: Error): void {
    this.expect(timeoutMs, error.message);
  }

  override _clearPhase(): void {
    this.#deadlineMs = Number.POSITIVE_INFINITY;
  }

  override _remainingSetupTime(): number {
    return this.upgrading ? this.#options.timeouts.tlsMs : this.#options.timeouts.greetingMs;
  }
}
