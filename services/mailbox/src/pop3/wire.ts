import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { createLineSplitter, type Line } from './lines.ts';

/** The connection is gone; whatever was to be said, nobody hears it. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** A socket as lines in and octets out, in order, with back-pressure both ways. */
export interface Wire {
  /**
   * Sends what `say` has collected when no line has arrived yet, and waits for one. `undefined`: the client has said all
   * it had to say, or is gone; a half line is dropped.
   */
  nextLine(maxOctets: number): Promise<Line | undefined>;
  /** Collects; sent with the next flush, so that the answers to pipelined commands go out in few writes. */
  say(text: string): void;
  /** Resolves when the client has taken enough of it. @throws ConnectionLost */
  flush(): Promise<void>;
  /** Flushes, and sends octets. @throws ConnectionLost */
  write(chunk: Uint8Array): Promise<void>;
  /** Flushes, forgets all that arrived in clear, and hand-shakes as the server. @throws ConnectionLost */
  startTls(context: SecureContext): Promise<void>;
  /** Sends what was collected and closes; a client that does not take it keeps the connection open. */
  end(): void;
  destroy(): void;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
}

/** Above it no more is read until the commands are done. */
const INPUT_OCTETS = 16 * 1024;
const OUTPUT_OCTETS = 16 * 1024;

interface State {
  socket: Socket;
  readonly lines: ReturnType<typeof createLineSplitter>;
  out: string;
  hasEnded: boolean;
  isClosed: boolean;
  /** Of the one who waits for input, room for output, or the end. */
  wake: () => void;
}

function listen(state: State, socket: Socket, onClose: () => void): void {
  socket.on('data', (chunk: Buffer) => {
    if (socket.writableEnded) return;
    state.lines.push(chunk);
    if (state.lines.bufferedOctets > INPUT_OCTETS) socket.pause();
    state.wake();
  });
  socket.on('end', () => {
    state.hasEnded = true;
    state.wake();
  });
  socket.on('drain', () => state.wake());
  // What the error was does not matter: `close` follows.
  socket.on('error', () => {});
  socket.once('close', () => {
    state.isClosed = true;
    state.wake();
    onClose();
  });
}

const woken = (state: State): Promise<void> =>
  new Promise((resolve) => {
    state.wake = resolve;
  });

async function roomFor(state: State): Promise<void> {
  while (!state.isClosed && state.socket.writableNeedDrain) await woken(state);
  if (state.isClosed) throw new ConnectionLost('closed');
}

async function flush(state: State): Promise<void> {
  if (state.isClosed) throw new ConnectionLost('closed');
  const { out } = state;
  state.out = '';
  if (out !== '') state.socket.write(out);
  await roomFor(state);
}

async function nextLine(state: State, maxOctets: number): Promise<Line | undefined> {
  if (state.out.length > OUTPUT_OCTETS) await flush(state);
  for (;;) {
    const line = state.lines.next(maxOctets);
    if (line !== undefined) return line;
    if (state.hasEnded || state.isClosed) return undefined;
    await flush(state);
    // More may have come while the client took the answers.
    if (state.lines.bufferedOctets > 0 || state.hasEnded) {
      const arrived = state.lines.next(maxOctets);
      if (arrived !== undefined) return arrived;
      if (state.hasEnded) return undefined;
    }
    state.socket.resume();
    await woken(state);
  }
}

/** No turn of the event loop passes between the last octet in clear and the handshake: nothing can slip in between. */
function wrap(state: State, context: SecureContext, onClose: () => void): TLSSocket {
  const plain = state.socket;
  if (state.out !== '') plain.write(state.out);
  state.out = '';
  for (const event of ['data', 'end', 'drain']) plain.removeAllListeners(event);
  plain.pause();
  while (plain.read() !== null);
  state.lines.clear();
  const secure = new TLSSocket(plain, { isServer: true, secureContext: context });
  state.socket = secure;
  listen(state, secure, onClose);
  return secure;
}

export function createWire(socket: Socket): Wire {
  let onClose = () => {};
  const closed = new Promise<void>((resolve) => {
    onClose = resolve;
  });
  const state: State = { socket, lines: createLineSplitter(), out: '', hasEnded: false, isClosed: false, wake: () => {} };
  listen(state, socket, onClose);
  return {
    closed,
    nextLine: (maxOctets) => nextLine(state, maxOctets),
    say: (text) => {
      state.out += text;
    },
    flush: () => flush(state),
    write: async (chunk) => {
      await flush(state);
      state.socket.write(chunk);
      await roomFor(state);
    },
    startTls: async (context) => {
      if (state.isClosed) throw new ConnectionLost('closed');
      const secure = wrap(state, context, onClose);
      // The socket may be half open: an end in the middle of a handshake closes nothing by itself.
      const secured = new Promise<boolean>((resolve) => {
        secure.once('secure', () => resolve(true)).once('end', () => resolve(false));
      });
      if (!(await Promise.race([secured, closed.then(() => false)]))) throw new ConnectionLost('no handshake');
    },
    end: () => {
      if (state.isClosed) return;
      const { socket } = state;
      socket.resume();
      socket.end(state.out, () => socket.destroy());
    },
    destroy: () => state.socket.destroy(),
  };
}
