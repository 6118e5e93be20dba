import { createServer, type Server, type Socket } from 'node:net';
import { plainAddress, readProxyHeader } from '@angarium/runtime';
import type { Core } from '../core.ts';
import type { IngressServer } from './server.ts';

/**
 * A listener of `server` whose connections begin with a PROXY header, behind a balancer. Its sessions are those of the client that
 * the header names. Whoever is not among `proxyNetworks`, or sends anything else, is cut off without a word: what it sends is never
 * read as SMTP. As many connections as sessions are allowed may be in their headers.
 */
export function createProxied(core: Core, server: IngressServer): Server {
  const { config, logger, meters } = core;
  const unread = new Set<Socket>();
  const refuse = (socket: Socket, reason: Parameters<typeof meters.proxyRefused.inc>[0]) => {
    meters.proxyRefused.inc(reason);
    logger.warn({ listener: server.listener, peer: socket.remoteAddress, ...reason }, 'ingress.proxy.refused');
    socket.destroy();
  };
  const take = async (socket: Socket): Promise<void> => {
    socket.on('error', () => {});
    const peer = plainAddress(socket.remoteAddress ?? '');
    if (core.isProxy(peer) === undefined) return refuse(socket, { reason: 'untrusted' });
    if (unread.size >= config.maxConnections) return refuse(socket, { reason: 'overloaded' });
    unread.add(socket);
    const header = await readProxyHeader(socket, config.proxyHeaderTimeoutMs);
    unread.delete(socket);
    if (header.is === 'left' || core.isStopping) {
      socket.destroy();
      return;
    }
    if (header.is === 'refused') return refuse(socket, { reason: header.trouble });
    server.take(socket, header.address);
  };
  const proxied = createServer({ allowHalfOpen: true }, (socket) => void take(socket));
  proxied.once('close', () => {
    for (const socket of unread) socket.destroy();
  });
  return proxied;
}
