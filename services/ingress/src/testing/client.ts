import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

/** One reply: its lines without CRLF. */
export interface Reply {
  readonly code: number;
  readonly lines: readonly string[];
}

const WITHIN_MS = 10_000;

/** A client that knows nothing of SMTP but lines and reply codes. */
export class RawClient {
  socket: Socket | TLSSocket;
  isClosed = false;
  /** Everything received, for checks of its form. */
  received = Buffer.alloc(0);
  private buffer = '';
  private wake: () => void = () => {};

  constructor(socket: Socket | TLSSocket) {
    this.socket = socket;
    this.attach(socket);
  }

  static open(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(new RawClient(socket)));
      socket.once('error', reject);
    });
  }

  static openTls(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => resolve(new RawClient(socket)));
      socket.once('error', reject);
    });
  }

  send(octets: string | Buffer): void {
    this.socket.write(typeof octets === 'string' ? Buffer.from(octets) : octets);
  }

  /** Octet by octet, each in a write of its own. */
  async dribble(text: string): Promise<void> {
    for (const octet of Buffer.from(text)) await new Promise((resolve) => this.socket.write(Buffer.of(octet), resolve));
  }

  /** Resolves with the next reply; rejects when the connection closes before. */
  async reply(): Promise<Reply> {
    for (;;) {
      const match = /^(?:\d{3}-[^\r\n]*\r\n)*(\d{3}) [^\r\n]*\r\n/.exec(this.buffer);
      if (match) {
        this.buffer = this.buffer.slice(match[0].length);
        return { code: Number(match[1]), lines: match[0].split('\r\n').slice(0, -1) };
      }
      if (this.isClosed) throw new Error(`closed, had ${JSON.stringify(this.buffer)}`);
      await this.more();
    }
  }

  /** Last line of the next reply. */
  async line(): Promise<string> {
    return (await this.reply()).lines.at(-1) ?? '';
  }

  /** Sends a line and resolves with the last line of its reply. */
  ask(line: string): Promise<string> {
    this.send(`${line}\r\n`);
    return this.line();
  }

  async lines(count: number): Promise<string[]> {
    const all: string[] = [];
    while (all.length < count) all.push(await this.line());
    return all;
  }

  async closed(): Promise<void> {
    while (!this.isClosed) await this.more();
  }

  /** After `220` of STARTTLS. */
  startTls(): Promise<void> {
    const plain = this.socket;
    plain.removeAllListeners('data');
    return new Promise((resolve, reject) => {
      const secure = connectTls({ socket: plain, rejectUnauthorized: false }, () => {
        this.socket = secure;
        this.attach(secure);
        resolve();
      });
      secure.once('error', reject);
    });
  }

  destroy(): void {
    this.socket.destroy();
  }

  private attach(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.buffer += chunk.toString('latin1');
      this.wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      this.wake();
    });
  }

  private more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`nothing came, had ${JSON.stringify(this.buffer)}`)), WITHIN_MS);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Greeting and EHLO are over. */
export async function openMx(port: number): Promise<RawClient> {
  const client = await RawClient.open(port);
  await client.reply();
  await client.ask('EHLO client.example');
  return client;
}

export const PLAIN = Buffer.from('\0ann\0secret').toString('base64');

/** Logged in as ann over TLS. */
export async function openSubmission(port: number): Promise<RawClient> {
  const client = await RawClient.openTls(port);
  await client.reply();
  await client.ask('EHLO client.example');
  const answer = await client.ask(`AUTH PLAIN ${PLAIN}`);
  if (!answer.startsWith('235 ')) throw new Error(answer);
  return client;
}

/** Hands a message over; resolves with the reply to its end. */
export async function sendMessage(client: RawClient, o: { from?: string; to?: string; content: string }): Promise<string> {
  const { from = '<x@there.example>', to = '<bob@here.example>', content } = o;
  client.send(`MAIL FROM:${from}\r\nRCPT TO:${to}\r\nDATA\r\n`);
  const replies = await client.lines(3);
  if (!replies[2]?.startsWith('354 ')) return replies.find((reply) => !reply.startsWith('2')) ?? '';
  client.send(`${content}\r\n.\r\n`);
  return client.line();
}
