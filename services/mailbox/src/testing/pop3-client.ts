import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';

/** A POP3 client that says exactly what it is told to. */
export interface Pop3Client {
  send(octets: string | Uint8Array): void;
  /** The next line without CRLF; rejects when the connection ends before. */
  line(): Promise<string>;
  /** Lines up to the one with a dot alone, as sent. */
  lines(): Promise<readonly string[]>;
  /** Sends a line and gives the first line of the answer. */
  ask(line: string): Promise<string>;
  startTls(options?: ConnectionOptions): Promise<void>;
  /** What comes until the server closes. */
  rest(): Promise<string>;
  /** Ends our side, and still listens. */
  end(): void;
  destroy(): void;
  readonly socket: Socket;
}

const secure = (options: ConnectionOptions): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connectTls({ rejectUnauthorized: false, ...options }, () => resolve(socket));
    socket.once('error', reject);
  });

export async function connectPop3(address: string, options: { readonly tls?: ConnectionOptions } = {}): Promise<Pop3Client> {
  const [host = '', port = ''] = address.split(':');
  const to = { host, port: Number(port) };
  if (options.tls) return createClient(await secure({ ...to, ...options.tls }));
  const socket = connect({ ...to, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return createClient(socket);
}

interface Heard {
  text: string;
  hasEnded: boolean;
  wake: () => void;
}

function listen(socket: Socket, heard: Heard): void {
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    heard.text += chunk;
    heard.wake();
  });
  for (const event of ['end', 'close', 'error']) {
    socket.on(event, () => {
      heard.hasEnded = true;
      heard.wake();
    });
  }
}

const more = (heard: Heard): Promise<void> =>
  new Promise((resolve) => {
    heard.wake = resolve;
  });

async function nextLine(heard: Heard): Promise<string> {
  for (;;) {
    const end = heard.text.indexOf('\r\n');
    if (end >= 0) {
      const found = heard.text.slice(0, end);
      heard.text = heard.text.slice(end + 2);
      return found;
    }
    if (heard.hasEnded) throw new Error(`the connection ended after ${JSON.stringify(heard.text)}`);
    await more(heard);
  }
}

function createClient(first: Socket): Pop3Client {
  let socket = first;
  const heard: Heard = { text: '', hasEnded: false, wake: () => {} };
  listen(socket, heard);
  const send = (octets: string | Uint8Array) => void socket.write(octets as string, 'latin1');
  return {
    send,
    line: () => nextLine(heard),
    lines: async () => {
      const found: string[] = [];
      for (let next = await nextLine(heard); next !== '.'; next = await nextLine(heard)) found.push(next);
      return found;
    },
    ask: (command) => {
      send(`${command}\r\n`);
      return nextLine(heard);
    },
    startTls: async (options = {}) => {
      socket.removeAllListeners();
      socket = await secure({ socket, ...options });
      heard.text = '';
      listen(socket, heard);
    },
    rest: async () => {
      while (!heard.hasEnded) await more(heard);
      const found = heard.text;
      heard.text = '';
      return found;
    },
    end: () => socket.end(),
    destroy: () => socket.destroy(),
    get socket() {
      return socket;
    },
  };
}

/** A session over TLS that has the account's maildrop. */
export async function logIn(address: string, account: string): Promise<Pop3Client> {
  const client = await connectPop3(address, { tls: {} });
  await client.line();
  await client.ask(`USER ${account}`);
  const answer = await client.ask('PASS right');
  if (!answer.startsWith('+OK')) throw new Error(answer);
  return client;
}

/** All messages of the account, as their clients see them, by number. */
export async function readAll(address: string, account: string): Promise<readonly string[]> {
  const client = await logIn(address, account);
  const [, count = '0'] = (await client.ask('STAT')).split(' ');
  const messages: string[] = [];
  for (let number = 1; number <= Number(count); number++) {
    await client.ask(`RETR ${number}`);
    messages.push((await client.lines()).map((line) => `${line.replace(/^\./, '')}\r\n`).join(''));
  }
  await client.ask('QUIT');
  client.destroy();
  return messages;
}
