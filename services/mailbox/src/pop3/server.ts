import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { clientKey, plainAddress, type TlsSource } from '@angarium/runtime';
import { type Connection, type ConnectionDeps, startConnection } from './connection.ts';
import { createWire } from './wire.ts';

export interface Pop3Deps extends Omit<ConnectionDeps, 'secure'> {
  readonly tls: TlsSource;
}

export interface Pop3Server {
  start(): Promise<void>;
  /** No new connections; idle sessions end at once, others after their command or `drainMs`. */
  stop(): Promise<void>;
  readonly addresses: { readonly pop3: readonly string[]; readonly pop3s: readonly string[] };
  readonly connections: number;
  /** Those that are logged in. */
  readonly sessions: number;
}

interface State {
  readonly deps: Pop3Deps;
  readonly servers: Server[];
  readonly connections: Map<Connection, string>;
  readonly addresses: { pop3: string[]; pop3s: string[] };
  context: SecureContext;
  /** Undo: the certificate's listener, the timer of the deadlines. */
  readonly ends: { tls: () => void; timer: () => void };
}

const DEADLINE_STEP_MS = 1000;

export function createPop3Server(deps: Pop3Deps): Pop3Server {
  const state: State = {
    deps,
    servers: [],
    connections: new Map(),
    addresses: { pop3: [], pop3s: [] },
    context: createSecureContext(),
    ends: { tls: () => {}, timer: () => {} },
  };
  return {
    addresses: state.addresses,
    get connections() {
      return state.connections.size;
    },
    get sessions() {
      return [...state.connections.keys()].filter(({ isLoggedIn }) => isLoggedIn).length;
    },
    start: () => start(state),
    stop: () => stop(state),
  };
}

const contextOf = ({ tls }: Pop3Deps): SecureContext => createSecureContext({ ...tls.current(), minVersion: 'TLSv1.2' });

async function start(state: State): Promise<void> {
  const { deps } = state;
  state.context = contextOf(deps);
  state.ends.tls = deps.tls.onChange(() => {
    try {
      state.context = contextOf(deps);
    } catch (error) {
      deps.logger.error({ reason: String(error), cure: 'the old pair stays in force' }, 'mailbox.certificate.refused');
    }
  });
  try {
    for (const address of deps.config.pop3.listen) state.addresses.pop3.push(await listen(state, address, { isTls: false }));
    for (const address of deps.config.pop3s.listen) state.addresses.pop3s.push(await listen(state, address, { isTls: true }));
  } catch (error) {
    await stop(state);
    throw error;
  }
  watchDeadlines(state);
}

async function listen(state: State, address: string, { isTls }: { readonly isTls: boolean }): Promise<string> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  // A client may close its side behind pipelined commands: they are answered.
  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => accept(state, socket, isTls));
  state.servers.push(server);
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(Number(address.slice(colon + 1)), host, resolve));
  server.on('error', (error) => state.deps.logger.error({ address, reason: String(error) }, 'mailbox.listener.failed'));
  const { address: actual, family, port } = server.address() as AddressInfo;
  return `${family === 'IPv6' ? `[${actual}]` : actual}:${port}`;
}

function accept(state: State, socket: Socket, isTls: boolean): void {
  const { deps, connections } = state;
  const client = clientKey(plainAddress(socket.remoteAddress ?? ''));
  let ofClient = 0;
  for (const other of connections.values()) if (other === client) ofClient += 1;
  if (connections.size >= deps.config.maxConnections || ofClient >= deps.config.maxConnectionsPerClient) {
    deps.meters.sessionEnded('refused');
    socket.on('error', () => {});
    // Before a handshake nobody would understand a text.
    if (isTls) socket.destroy();
    else socket.end('-ERR [SYS/TEMP] too many connections\r\n', () => socket.destroy());
    return;
  }
  const secure: ConnectionDeps['secure'] = (wire) => wire.startTls(state.context);
  const connection = startConnection({ ...deps, secure }, { wire: createWire(socket), client, isTls });
  connections.set(connection, client);
  connection.done.then(
    () => connections.delete(connection),
    (error: unknown) => {
      throw error;
    },
  );
}

/** One timer for all: a deadline is met to the second. */
function watchDeadlines(state: State): void {
  const { clock } = state.deps;
  state.ends.timer = clock.after(DEADLINE_STEP_MS, () => {
    const nowMs = clock.nowMs();
    for (const connection of state.connections.keys()) {
      if (nowMs > Math.min(connection.deadlineMs, connection.untilMs)) connection.destroy('timeout');
    }
    watchDeadlines(state);
  });
}

async function stop(state: State): Promise<void> {
  const { clock, config } = state.deps;
  state.ends.tls();
  for (const server of state.servers) server.close();
  for (const connection of state.connections.keys()) {
    connection.isStopping = true;
    if (!connection.isBusy) connection.destroy('stopped');
  }
  const running = [...state.connections.keys()];
  const cancel = clock.after(config.drainMs, () => {
    for (const connection of running) connection.destroy('stopped');
  });
  await Promise.all(running.map(({ done }) => done));
  cancel();
  state.ends.timer();
}
