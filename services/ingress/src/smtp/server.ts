import { isIP, type Socket } from 'node:net';
import { clientKey, plainAddress, type TlsSource } from '@angarium/runtime';
import { formatReply } from '@angarium/smtp';
import { SMTPServer, type SMTPServerAuthentication, type SMTPServerAuthenticationResponse, type SMTPServerSession } from 'smtp-server';
import type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection';
import type { Core } from '../core.ts';
import type { Listener } from '../deps.ts';
import { REFUSALS } from '../replies.ts';
import { IngressConnection, type Seat } from './connection.ts';

/** How long a refused client may take to read its 421. */
const LINGER_MS = 5000;
const RING_EVERY_MS = 1000;

/** One listener's server. Counts a connection from its first packet, so that handshakes that never end count too. */
export class IngressServer extends SMTPServer {
  readonly core: Core;
  readonly listener: Listener;
  private rangAtMs = Number.NEGATIVE_INFINITY;
  private readonly seats = new WeakMap<Socket, Seat>();
  private readonly sockets = new Set<Socket>();
  /** What a balancer told of the client. */
  private readonly told = new WeakMap<Socket, string>();
  private readonly bySession = new WeakMap<SMTPServerSession, IngressConnection>();

  constructor(core: Core, listener: Listener, tls: TlsSource) {
    super({
      name: core.hostname,
      secure: listener === 'submissions',
      ...tls.current(),
      minVersion: 'TLSv1.2',
      authMethods: ['PLAIN', 'LOGIN'],
      hideENHANCEDSTATUSCODES: false,
      disableReverseLookup: true,
      socketTimeout: core.config.tlsHandshakeTimeoutMs,
      // A client may close its side behind its last command: the replies still reach it.
      allowHalfOpen: true,
      logger: false,
    });
    this.core = core;
    this.listener = listener;
    this.on('error', (error) => this.noteError(error));
  }

  override _acceptSocket(socket: Socket, handshake: boolean): (() => void) | false {
    socket.on('error', () => {});
    const address = plainAddress(this.told.get(socket) ?? socket.remoteAddress ?? '');
    const key = clientKey(address);
    // A client that has left already has no address.
    if (isIP(address) === 0) {
      socket.destroy();
      return false;
    }
    const isRefused = this.core.isStopping || this.core.isLate || this.core.unacknowledged.isOver;
    const release = isRefused ? undefined : this.core.clients.admit(key);
    if (!release) {
      this.refuse(socket, handshake);
      return false;
    }
    this.sockets.add(socket);
    const leave = () => {
      this.sockets.delete(socket);
      release();
    };
    socket.once('close', leave);
    const relayNetwork = this.listener === 'mx' ? this.core.relayNetwork(address) : undefined;
    this.seats.set(socket, { core: this.core, listener: this.listener, client: { address, key, relayNetwork }, release: leave });
    return super._acceptSocket(socket, handshake);
  }

  /** `proxied.ts` reads these headers. Nobody asks for the random name that a connection would be given here. */
  override _handleProxy(_socket: Socket, callback: Parameters<SMTPServer['_handleProxy']>[1]): void {
    callback(null, { id: this.listener });
  }

  /** A connection that came another way than by the listener of this server; `address`: its client's, if it is not its own. */
  take(socket: Socket, address?: string): void {
    if (address !== undefined) this.told.set(socket, address);
    this.server.emit('connection', socket);
  }

  override connect(socket: Socket, options?: SMTPConnectionOptions | null): void {
    const seat = this.seats.get(socket);
    if (!seat || this.core.isStopping) {
      socket.destroy();
      return;
    }
    const connection = new IngressConnection(this, socket, options, seat);
    this.connections.add(connection);
    this.bySession.set(connection.session, connection);
    connection.on('error', (error: Error) => this.emit('error', error));
    connection.init();
  }

  override _upgrade(socket: Socket, callback: Parameters<SMTPServer['_upgrade']>[1]): void {
    // A client that closes its side in the middle of a handshake has left.
    socket.allowHalfOpen = false;
    super._upgrade(socket, (error, tlsSocket) => {
      const seat = this.seats.get(socket);
      if (tlsSocket && seat) this.seats.set(tlsSocket, seat);
      callback(error, tlsSocket);
    });
  }

  /** At once: a command that came early must not be answered before the greeting. */
  override onConnect(_session: SMTPServerSession, callback: () => void): void {
    callback();
  }

  override onSecure(_socket: Socket, _session: SMTPServerSession, callback: () => void): void {
    callback();
  }

  override onAuth(
    auth: SMTPServerAuthentication,
    session: SMTPServerSession,
    callback: (error: Error | null | undefined, response?: SMTPServerAuthenticationResponse) => void,
  ): void {
    const { username: login = '', password, authcid = '', authzid = '' } = auth;
    const connection = this.bySession.get(session);
    // Clients that leave the authentication identity empty mean the other one.
    const credentials = { login, password: password ?? '', actAs: authcid === '' ? '' : authzid };
    Promise.resolve(connection?.login(credentials)).then(
      (user) => callback(null, { user }),
      (error: unknown) => {
        this.core.logger.error({ reason: String(error) }, 'ingress.auth.crashed');
        callback(Object.assign(new Error(REFUSALS.authUnavailable.text), { responseCode: REFUSALS.authUnavailable.code }));
      },
    );
  }

  /** A client's trouble is its own; connections that we cannot take are ours, and ring once a second. */
  private noteError(error: NodeJS.ErrnoException): void {
    const { core, listener } = this;
    const isOurs = error.syscall === 'accept';
    if (!isOurs) {
      core.logger.debug({ listener, reason: error.message }, 'ingress.connection.failed');
      return;
    }
    core.meters.acceptFailures.inc();
    const nowMs = core.clock.nowMs();
    if (nowMs - this.rangAtMs < RING_EVERY_MS) return;
    this.rangAtMs = nowMs;
    core.logger.error({ listener, reason: error.message, cure: 'raise the limit of open files' }, 'ingress.accept.failed');
  }

  get sessions(): readonly IngressConnection[] {
    return [...this.connections].filter((connection) => connection instanceof IngressConnection);
  }

  /** Cuts every connection off, also those that were told to go and did not. */
  destroyAll(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** In clear with a reply; before a handshake there is nothing that could be said. */
  private refuse(socket: Socket, handshake: boolean): void {
    const reply = this.core.isStopping ? REFUSALS.stopping : REFUSALS.overloaded;
    this.core.meters.refusals.inc({ reason: reply.reason });
    if (handshake) {
      socket.destroy();
      return;
    }
    socket.end(formatReply(reply));
    socket.resume();
    socket.setTimeout(LINGER_MS, () => socket.destroy());
  }
}
