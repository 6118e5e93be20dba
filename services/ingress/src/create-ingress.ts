import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Service } from '@angarium/runtime';
import { type Core, createCore } from './core.ts';
import { type IngressDeps, LISTENERS, type Listener } from './deps.ts';
import { REFUSALS } from './replies.ts';
import { createProxied } from './smtp/proxied.ts';
import { IngressServer } from './smtp/server.ts';
import { startSweep } from './sweep.ts';

export interface Ingress extends Service {
  /** Where each listener really listens ("host:port"), after start. */
  readonly addresses: Readonly<Record<Listener, readonly string[]>>;
  /** The same of those behind a balancer. */
  readonly proxiedAddresses: Readonly<Record<Listener, readonly string[]>>;
  /** Takes a connection that came by no listener of ours; what it gives counts as the client's address. */
  take(listener: Listener, socket: Socket): void;
  notReady(): readonly string[];
}

/** Connections that may wait for `accept`: the client waits for our greeting, so a full queue would hang it. */
const BACKLOG = 1024;

function formatAddress({ address, family, port }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}

async function listen(server: Pick<Server, 'listen'>, listening: Server, address: string): Promise<string> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  server.listen({ host, port: Number(address.slice(colon + 1)), backlog: BACKLOG });
  // Rejects with the error event, which the server passes on.
  await once(listening, 'listening');
  return formatAddress(listening.address() as AddressInfo);
}

/** Ends idle sessions at once and the others as they get idle; whoever is left after `stopTimeoutMs` is cut off. */
async function drain(core: Core, servers: readonly IngressServer[], proxied: readonly Server[]): Promise<void> {
  const listening = [...servers.map(({ server }) => server), ...proxied];
  const closed = Promise.all(listening.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  const sessions = () => servers.flatMap((server) => server.sessions);
  for (const server of servers) for (const socket of server._pendingSockets.values()) socket.destroy();
  for (const session of sessions()) if (session.isIdle) session.end(REFUSALS.stopping);
  const cancel = core.clock.after(core.config.stopTimeoutMs, () => {
    for (const session of sessions()) session.end(REFUSALS.stopping);
    for (const server of servers) server.destroyAll();
  });
  await closed;
  cancel();
}

interface Opening {
  readonly core: Core;
  readonly createServer: (listener: Listener) => IngressServer;
  /** What is opened goes into these. */
  readonly proxied: Server[];
  readonly addresses: Readonly<Record<Listener, string[]>>;
  readonly proxiedAddresses: Readonly<Record<Listener, string[]>>;
}

async function openAll({ core, createServer, proxied, addresses, proxiedAddresses }: Opening): Promise<void> {
  for (const listener of LISTENERS) {
    const { listen: plain, proxyListen } = core.config[listener];
    for (const address of plain) {
      const server = createServer(listener);
      addresses[listener].push(await listen(server, server.server, address));
    }
    for (const address of proxyListen) {
      const server = createProxied(core, createServer(listener));
      proxied.push(server);
      proxiedAddresses[listener].push(await listen(server, server, address));
    }
  }
}

/**
 * Takes mail by SMTP and puts it into the log (design §2): the MX listener for hosted domains and relay networks, the
 * submission listeners for accounts. 250 means durable.
 */
export function createIngress(deps: IngressDeps): Ingress {
  const core = createCore(deps);
  const addresses: Record<Listener, string[]> = { mx: [], submission: [], submissions: [] };
  const proxiedAddresses: Record<Listener, string[]> = { mx: [], submission: [], submissions: [] };
  const servers: IngressServer[] = [];
  const proxied: Server[] = [];
  const createServer = (listener: Listener): IngressServer => {
    const server = new IngressServer(core, listener, deps.tls);
    servers.push(server);
    return server;
  };
  let isListening = false;
  let end = () => {};

  const stop = async () => {
    core.isStopping = true;
    isListening = false;
    await drain(core, servers, proxied);
    end();
  };
  return {
    addresses,
    proxiedAddresses,
    async start() {
      const endSweep = startSweep(core, () => servers.flatMap((server) => server.sessions));
      const endTls = deps.tls.onChange(() => {
        for (const server of servers) server.updateSecureContext(deps.tls.current());
      });
      end = () => {
        endSweep();
        endTls();
      };
      try {
        await openAll({ core, createServer, proxied, addresses, proxiedAddresses });
      } catch (error) {
        await stop();
        throw error;
      }
      isListening = true;
      deps.logger.info({ ...addresses, proxied: proxiedAddresses }, 'ingress.listening');
    },
    stop,
    take(listener, socket) {
      const server = servers.find((one) => one.listener === listener) ?? createServer(listener);
      server.take(socket);
    },
    notReady: () => (isListening ? [] : [core.isStopping ? 'ingress is stopping' : 'ingress is not listening']),
  };
}
