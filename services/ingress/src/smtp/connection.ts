import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { formatReply, SMTP_LIMITS, type SmtpReply } from '@angarium/smtp';
import type { SMTPServer } from 'smtp-server';
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection';
import type { Core } from '../core.ts';
import type { Listener } from '../deps.ts';
import { acceptMessage, type Tls } from '../message/accept.ts';
import { Body } from '../message/body.ts';
import { tlsVersion } from '../meters.ts';
import { REFUSALS, reasonOf } from '../replies.ts';
import { type Action, answerCommand, decodeCommand, isBase64 } from '../session/commands.ts';
import { type Client, createDialog, type Dialog, endTransaction } from '../session/dialog.ts';
import { lookAhead } from '../session/envelope.ts';
import { answerLogin, type Credentials } from '../session/login.ts';
import { IngressStream } from './stream.ts';

const START_DATA: SmtpReply = { code: 354, text: 'End data with <CR><LF>.<CR><LF>' };

/** A connection's place among those that are counted. */
export interface Seat {
  readonly core: Core;
  readonly listener: Listener;
  readonly client: Client;
  readonly release: () => void;
}

/** Whom a session waits for: the client's next command, its message or its handshake; or us. */
export type Waiting = 'greeting' | 'command' | 'data' | 'handshake' | 'us';

/**
 * A session. smtp-server keeps the socket's life, STARTTLS, the SASL exchanges and the small verbs; the grammar, the envelope,
 * the message, the replies and the limits are ours.
 *
 * Replies are gathered until the event loop turns and leave in one write. A command line with a bare CR or LF, control octets
 * or broken UTF-8 gets 500 5.5.2, a message with a bare CR or LF 554 5.6.0 after its end.
 */
export class IngressConnection extends SMTPConnection {
  dialog: Dialog;
  waiting: Waiting = 'greeting';
  /** Start of the wait; while a message comes, the time of its last octets. */
  waitingSinceMs: number;
  readonly startedMs: number;
  /** Set while a message comes. */
  dataSinceMs = 0;
  private readonly core: Core;
  private readonly release: () => void;
  private body: Body | undefined;
  private replies = '';
  private refused = 0;
  private authFailures = 0;
  /** Takes the place of the reply that the SASL exchange sends next. */
  private saslReply: SmtpReply | undefined;

  constructor(server: SMTPServer, socket: Socket, options: SMTPConnectionOptions | null | undefined, seat: Seat) {
    super(server, socket, options);
    const { core, listener, client } = seat;
    this.core = core;
    this.release = seat.release;
    this.dialog = createDialog({ listener, client, isSecure: this.secure });
    this.startedMs = core.clock.nowMs();
    this.waitingSinceMs = this.startedMs;
    core.meters.sessions.inc({ listener });
    if (this.secure) this.countTls();
  }

  /** No wait for early talkers, no reverse lookup: the greeting goes out at once. */
  override init(): void {
    this._setListeners(() => this.connectionReady());
  }

  /** smtp-server's idle timer; `sweep` looks at the deadlines of all sessions instead. */
  override _armTimeout(): void {}

  override _createParser(): IngressStream {
    return new IngressStream({
      lineLimit: (start) => (this.isAuthLine(start) ? SMTP_LIMITS.authLineOctets : SMTP_LIMITS.commandLineOctets),
      onLine: (line, next) => this._onCommand(line, next),
      onBadLine: (why, next) => this.onBadLine(why, next),
      onData: (next) => {
        // The client waits for us as long as there is no room.
        this.waiting = 'us';
        this.core.unacknowledged.whenRoom(() => {
          this.wait('data');
          next();
        });
      },
      onDataEnd: (data, next) => this.onDataEnd(data, next),
      onEnd: () => this.close(),
    });
  }

  override _onCommand(line: Buffer, next: () => void = () => {}): void {
    this.run(() => {
      const ended = this.mustEnd();
      if (ended) return this.answer(ended);
      const text = decodeCommand(line);
      if (text === undefined) return this.answer(REFUSALS.badOctets);
      const saslStep = this._nextHandler;
      this._nextHandler = false;
      if (saslStep && text !== '*' && !isBase64(text)) return this.answer(REFUSALS.badBase64);
      if (saslStep) return this.runBase((done) => saslStep.call(this, line, done));
      return this.command(text);
    }, next);
  }

  /** smtp-server's replies, in our form. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const enhanced = this._getEnhancedStatusCode(code, context);
    const text = Array.isArray(data) ? data.join('\n') : (data ?? '');
    const reply = this.saslReply ?? { code, ...(enhanced !== '' && { enhanced }), text };
    this.saslReply = undefined;
    this.answer(reply);
  }

  override close(): void {
    this.flush();
    super.close();
  }

  override _resetSession(): void {
    super._resetSession();
    endTransaction(this.core.recipientRoom, this.dialog);
  }

  override _onClose(): void {
    this.release();
    endTransaction(this.core.recipientRoom, this.dialog);
    this.body?.release();
    this.body = undefined;
    super._onClose();
  }

  /** Everything known of the client goes with the clear text (RFC 3207). */
  override upgrade(callback: () => void, secureCallback?: () => void): void {
    this.flush();
    const { listener } = this.dialog;
    endTransaction(this.core.recipientRoom, this.dialog);
    this.dialog = createDialog({ listener, client: this.dialog.client, isSecure: true });
    this.wait('handshake');
    this._socket.allowHalfOpen = false;
    super.upgrade(callback, () => {
      this.countTls();
      this.wait('command');
      secureCallback?.();
    });
  }

  /** Ends the session with a last reply. */
  end(reply: SmtpReply): void {
    this.answer(reply);
    this.close();
  }

  /** For STARTTLS that does not come to an end: nothing can be said. */
  destroy(): void {
    this._socket.destroy();
    this.close();
  }

  /** Nothing of a message would be lost by ending the session now. */
  get isIdle(): boolean {
    return this.dialog.transaction === undefined && this.waiting !== 'us';
  }

  /** The account of a login, or the refusal that takes the place of the exchange's own reply. */
  async login(credentials: Credentials): Promise<string | undefined> {
    const answer = await answerLogin(this.core, this.dialog, credentials, this.authFailures);
    if ('account' in answer) {
      this.dialog.account = answer.account;
      return answer.account;
    }
    if (answer.refusal.reason === 'authFailed') this.authFailures++;
    this.saslReply = answer.refusal;
    return undefined;
  }

  private isAuthLine(start: Buffer): boolean {
    return this._nextHandler !== false || /^auth /i.test(start.toString('latin1', 0, 5));
  }

  private wait(waiting: Waiting): void {
    this.waiting = waiting;
    this.waitingSinceMs = this.core.clock.nowMs();
  }

  private mustEnd(): SmtpReply | undefined {
    if (this.refused >= this.core.config.maxErrors) return REFUSALS.tooManyErrors;
    if (this.core.isStopping && !this.dialog.transaction) return REFUSALS.stopping;
    return this.core.clock.nowMs() - this.startedMs > this.core.config.maxSessionMs ? REFUSALS.sessionTooLong : undefined;
  }

  /** Runs one command to its end, then goes on reading. What it throws is our fault: the client may try again. */
  private run(command: () => Promise<void> | void, next: () => void): void {
    this.waiting = 'us';
    try {
      const running = command();
      if (running === undefined) this.goOn(next);
      else
        running
          .catch((error: unknown) => this.refuseFailed(error))
          .then(() => this.goOn(next))
          .catch((error: unknown) => this.core.logger.error({ error: String(error) }, 'ingress.session.failed'));
    } catch (error) {
      this.refuseFailed(error);
      this.goOn(next);
    }
  }

  private refuseFailed(error: unknown): void {
    this.core.logger.error({ client: this.dialog.client.address, error: String(error) }, 'ingress.command.failed');
    this.saslReply = undefined;
    this.answer(REFUSALS.failure);
  }

  private goOn(next: () => void): void {
    if (this.waiting === 'us') this.wait('command');
    if (this.core.isStopping && this.isIdle && !this._closing && this.waiting === 'command') this.end(REFUSALS.stopping);
    this._whenWritable(next);
  }

  private runBase(handler: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => handler(resolve));
  }

  private onBadLine(why: 'lineEnd' | 'tooLong', next: () => void): void {
    this.run(() => {
      const inExchange = this._nextHandler !== false;
      this._nextHandler = false;
      const tooLong = inExchange ? REFUSALS.authLineTooLong : REFUSALS.lineTooLong;
      this.answer(this.mustEnd() ?? (why === 'lineEnd' ? REFUSALS.badLineEnd : tooLong));
    }, next);
  }

  private command(text: string): Promise<void> | void {
    const answer = answerCommand(this.core, this.dialog, text);
    if (answer instanceof Promise) {
      // Recipients behind it become part of the same question.
      if (this._parser instanceof IngressStream) lookAhead(this.core, this.dialog, this._parser.input.ahead());
      return answer.then((reply) => this.answer(reply));
    }
    return 'do' in answer ? this.act(answer) : this.answer(answer);
  }

  private act(action: Action): Promise<void> | void {
    if (action.do === 'data') return this.startData();
    const handler = this._getHandler(action.verb);
    return this.runBase((done) => handler?.call(this, Buffer.from(action.line), done));
  }

  private startData(): void {
    if (!(this._parser instanceof IngressStream)) return;
    const { config, blocks, unacknowledged } = this.core;
    this.body = new Body({ maxOctets: config.maxMessageOctets, blocks, openHolding: (drop) => unacknowledged.open(drop) });
    this._parser.input.startBody(this.body);
    this.answer(START_DATA);
    this.wait('data');
    this.dataSinceMs = this.waitingSinceMs;
  }

  private onDataEnd(data: { readonly body: Body; readonly hasBareLineEnd: boolean }, next: () => void): void {
    this.run(async () => {
      const { core, dialog } = this;
      const { transaction } = dialog;
      this.body = undefined;
      if (!transaction) return this.answer(REFUSALS.failure);
      const handover = { core, dialog, transaction, tls: this.tls() };
      const reply = await acceptMessage(handover, data.body, data).finally(() => this._resetSession());
      this.answer(reply);
    }, next);
  }

  private tls(): Tls | undefined {
    if (!(this._socket instanceof TLSSocket)) return undefined;
    return { version: this._socket.getProtocol() ?? 'TLS', cipher: this._socket.getCipher()?.name ?? 'unknown' };
  }

  private countTls(): void {
    this.core.meters.tlsSessions.inc({ listener: this.dialog.listener, version: tlsVersion(this.tls()?.version) });
  }

  private answer(reply: SmtpReply): void {
    if (this._closing || this._closed) return;
    if (reply.code >= 400) this.core.meters.refusals.inc({ reason: reasonOf(reply) });
    if (reply.code >= 500) this.refused++;
    if (this.replies === '') setImmediate(() => this.flush());
    this.replies += formatReply(reply);
    if (reply.code === 421) this.close();
  }

  /** Not while a handshake runs: the octets would land in the middle of it. */
  private flush(): void {
    const text = this.replies;
    this.replies = '';
    if (text !== '' && !this._upgrading && this._socket.writable) this._socket.write(text, 'latin1');
  }
}
