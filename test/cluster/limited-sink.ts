import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { loadId } from '../e2e/load.ts';

/** A host that takes all mail and witnesses what is sent to it at once. */
export interface LimitedSink {
  readonly port: number;
  /** Most connections that were open at one moment, and most MAIL commands within any `windowMs`. */
  readonly peak: { readonly connections: number; readonly messages: number };
  /** The peak is that of what comes from now on, and of the connections that are open. */
  forgetPeak(): void;
  /** By the id that the load gave it: how often each message came. */
  readonly copies: ReadonlyMap<string, number>;
  open(): number;
  close(): Promise<void>;
}

const REPLIES: Readonly<Record<string, string>> = {
  EHLO: '250-sink.test\r\n250 PIPELINING',
  MAIL: '250 2.1.0 ok',
  RCPT: '250 2.1.5 ok',
  DATA: '354 go ahead',
  RSET: '250 2.0.0 ok',
  QUIT: '221 2.0.0 bye',
};

/** @param windowMs of the peak of messages */
export async function startLimitedSink(windowMs: number): Promise<LimitedSink> {
  const peak = { connections: 0, messages: 0 };
  const copies = new Map<string, number>();
  const sockets = new Set<Socket>();
  let mailMs: number[] = [];
  const noteMail = () => {
    const nowMs = performance.now();
    mailMs = mailMs.filter((atMs) => nowMs - atMs < windowMs);
    mailMs.push(nowMs);
    peak.messages = Math.max(peak.messages, mailMs.length);
  };
  const noteContent = (content: string) => {
    const id = loadId(content) ?? 'without an id';
    copies.set(id, (copies.get(id) ?? 0) + 1);
  };

  const talk = (socket: Socket) => {
    let buffer = '';
    let inData = false;
    const say = (line: string) => socket.write(`${line}\r\n`);
    const onLine = (line: string) => {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'MAIL') noteMail();
      inData = verb === 'DATA';
      say(REPLIES[verb] ?? '500 5.5.1 what?');
      if (verb !== 'QUIT') return;
      sockets.delete(socket);
      socket.end();
    };
    /** False: what there is is not whole yet. */
    const takeNext = (): boolean => {
      const end = buffer.indexOf(inData ? '\r\n.\r\n' : '\r\n');
      if (end < 0) return false;
      const taken = buffer.slice(0, end + 2);
      buffer = buffer.slice(end + (inData ? 5 : 2));
      if (!inData) onLine(taken.trim());
      else {
        inData = false;
        noteContent(taken);
        say('250 2.0.0 taken');
      }
      return true;
    };
    socket.on('data', (chunk) => {
      buffer += chunk.toString('latin1');
      while (takeNext()) {}
    });
    socket.on('error', () => {});
    for (const event of ['end', 'close']) socket.on(event, () => sockets.delete(socket));
    say('220 sink.test ESMTP');
  };

  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    peak.connections = Math.max(peak.connections, sockets.size);
    talk(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    peak,
    forgetPeak: () => {
      mailMs = [];
      Object.assign(peak, { connections: sockets.size, messages: 0 });
    },
    copies,
    open: () => sockets.size,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
