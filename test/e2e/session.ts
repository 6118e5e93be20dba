import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** A raw SMTP or POP3 session: octets out, lines in. Knows nothing of the protocols, so that it can break them. */
export interface Session {
  send(octets: string | Uint8Array): void;
  /** Next line without its CRLF; rejects when the peer closes. */
  line(): Promise<string>;
  /** Next whole reply: its code and text lines. */
  reply(): Promise<{ readonly code: number; readonly lines: readonly string[] }>;
  /** Sends a line and takes the reply. */
  ask(line: string): Promise<{ readonly code: number; readonly lines: readonly string[] }>;
  /** Resolves when the peer has closed. */
  readonly closed: Promise<void>;
  readonly socket: Socket;
  end(): void;
}

/** Over TLS the certificate is not verified. */
export function openSession(address: string, over: 'tcp' | 'tls' = 'tcp'): Session {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  const to = { host, port: Number(port) };
  return sessionOver(over === 'tcp' ? connect(to) : connectTls({ ...to, rejectUnauthorized: false }));
}

/** The session under TLS from now on; the peer has said that it is ready. */
export async function secured({ socket }: Session): Promise<Session> {
  socket.removeAllListeners('data');
  const secure = connectTls({ socket, rejectUnauthorized: false });
  const session = sessionOver(secure);
  await once(secure, 'secureConnect');
  return session;
}

function sessionOver(socket: Socket): Session {
  const lines: string[] = [];
  const waiting: { readonly resolve: (line: string) => void; readonly reject: (error: Error) => void }[] = [];
  let rest = '';
  let isOver = false;
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\r\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const reader = waiting.shift();
      if (reader) reader.resolve(part);
      else lines.push(part);
    }
  });
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      isOver = true;
      for (const reader of waiting.splice(0)) reader.reject(new Error('the peer closed'));
      resolve();
    });
  });
  const line = (): Promise<string> => {
    const next = lines.shift();
    if (next !== undefined) return Promise.resolve(next);
    if (isOver) return Promise.reject(new Error('the peer closed'));
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  };
  const reply = async () => {
    const all: string[] = [];
    for (;;) {
      const next = await line();
      all.push(next.slice(4));
      if (next[3] !== '-') return { code: Number(next.slice(0, 3)), lines: all };
    }
  };
  const send = (octets: string | Uint8Array) => {
    if (!socket.destroyed) socket.write(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets);
  };
  return {
    send,
    line,
    reply,
    ask: (text) => {
      send(`${text}\r\n`);
      return reply();
    },
    closed,
    socket,
    end: () => socket.destroy(),
  };
}
