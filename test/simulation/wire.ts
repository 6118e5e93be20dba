import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/** A connection in memory, both ends. Octets arrive within the turn of the event loop that sent them. */
export interface Wire {
  readonly client: Duplex;
  /** What the server takes for a socket. */
  readonly server: Socket;
}

/** Of everybody: an address of the relay network. */
export const CLIENT_ADDRESS = '192.0.2.9';

function createSide(other: () => Duplex, onOctets: () => void): Duplex {
  return new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      onOctets();
      if (!other().destroyed) other().push(chunk);
      done();
    },
    final(done) {
      onOctets();
      if (!other().destroyed) other().push(null);
      done();
    },
    destroy(error, done) {
      onOctets();
      done(error);
      process.nextTick(() => other().destroy());
    },
  });
}

/** `onOctets`: something was sent, so that something will happen. */
export function createWire(onOctets: () => void): Wire {
  const client: Duplex = createSide(() => server, onOctets);
  const server: Duplex = createSide(() => client, onOctets);
  const self = () => server;
  const socket = Object.assign(server, { remoteAddress: CLIENT_ADDRESS, remotePort: 2525, localAddress: CLIENT_ADDRESS, localPort: 25 });
  return { client, server: Object.assign(socket, { setTimeout: self, setKeepAlive: self, setNoDelay: self }) as unknown as Socket };
}
