import { connect, isIPv6, type Socket } from 'node:net';
import type { Clock } from '@angarium/runtime';

export interface ConnectOptions {
  readonly port: number;
  /** For each address. */
  readonly timeoutMs: number;
  /** Start given to an address before the next one is tried beside it; infinite: one at a time. */
  readonly staggerMs: number;
  readonly clock: Clock;
}

export interface ConnectFailure {
  readonly address: string;
  /** "ECONNREFUSED"; "ETIMEDOUT" when nothing came in time. */
  readonly code: string;
}

export interface Connected {
  /** Undefined: none of the addresses answered. */
  readonly connection: { readonly socket: Socket; readonly address: string } | undefined;
  readonly failures: readonly ConnectFailure[];
}

/** What only our own machine can be short of. An address family that we lack is not among it: that may never change. */
export const isOwnFault = ({ code, address }: ConnectFailure): boolean =>
  ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'].includes(code) || (code === 'EADDRNOTAVAIL' && !isIPv6(address));

function tryAddress(address: string, o: ConnectOptions): { readonly done: Promise<Socket | ConnectFailure>; readonly abandon: () => void } {
  const socket = connect({ host: address, port: o.port, noDelay: true });
  const done = new Promise<Socket | ConnectFailure>((resolve) => {
    const fail = (code: string) => {
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
      resolve({ address, code });
    };
    const callOff = o.clock.after(o.timeoutMs, () => fail('ETIMEDOUT'));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      callOff();
      fail(error.code ?? error.message);
    });
    socket.once('close', callOff);
    socket.once('connect', () => {
      callOff();
      socket.removeAllListeners();
      // Until a session takes over; what happened meanwhile shows there as a lost connection.
      socket.on('error', () => {});
      resolve(socket);
    });
  });
  return { done, abandon: () => socket.destroy() };
}

/**
 * Connects to the first address that answers. The next one starts when one fails, or beside it when `staggerMs` have passed
 * without an answer (RFC 8305 §5): a dead address costs that long, not a whole time-out.
 */
export function connectAny(addresses: readonly string[], o: ConnectOptions): Promise<Connected> {
  return new Promise((resolve) => {
    const failures: ConnectFailure[] = [];
    const running = new Set<() => void>();
    let next = 0;
    let won = false;
    let callOff = () => {};
    const start = () => {
      callOff();
      const address = addresses[next++];
      if (won || address === undefined) return;
      const attempt = tryAddress(address, o);
      running.add(attempt.abandon);
      if (next < addresses.length && Number.isFinite(o.staggerMs)) callOff = o.clock.after(o.staggerMs, start);
      void attempt.done.then((result) => {
        running.delete(attempt.abandon);
        if ('code' in result) {
          failures.push(result);
          if (running.size === 0 && next >= addresses.length && !won) resolve({ connection: undefined, failures });
          else start();
        } else if (won) result.destroy();
        else {
          won = true;
          callOff();
          for (const abandon of running) abandon();
          resolve({ connection: { socket: result, address }, failures });
        }
      });
    };
    if (addresses.length === 0) resolve({ connection: undefined, failures });
    start();
  });
}
