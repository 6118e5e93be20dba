import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import { AUTHENTIC_DATA, type DecodedPacket, decode, encode, type Packet, RECURSION_DESIRED, TRUNCATED_RESPONSE } from 'dns-packet';
import type { RecordType } from './answer.ts';

/** Where a resolver listens. */
export interface Server {
  readonly address: string;
  readonly port: number;
}

/** One question to one server: the reply, or why there is none. */
export type Exchange = { readonly packet: DecodedPacket } | { readonly reason: string };

export interface Question {
  readonly name: string;
  readonly type: RecordType | 'NS';
  readonly edns: boolean;
  /** With upper and lower case at random. */
  readonly mixed: boolean;
}

/** Time as an argument: what this room needs of it. */
export interface Timing {
  nowMs(): number;
  after(delayMs: number, run: () => void): () => void;
}

interface ExchangeOptions {
  readonly server: Server;
  readonly clock: Timing;
  readonly timeoutMs: number;
}

/** Size that passes every usual path unfragmented (RFC 6891 §6.2.5). */
const UDP_PAYLOAD_OCTETS = 1232;

/** Upper and lower case at random: a forged reply has to guess them too. Resolvers echo the question as it was. */
const mixCase = (name: string): string => name.replace(/[a-z]/g, (letter) => (randomInt(2) === 1 ? letter.toUpperCase() : letter));

interface Query {
  readonly id: number;
  readonly name: string;
  readonly type: Question['type'];
  /** The case of the name must come back as it went out. */
  readonly isExact: boolean;
  readonly octets: Buffer;
}

function formatQuery({ name: plain, type, edns, mixed }: Question): Query {
  const id = randomInt(0x10000);
  const name = mixed ? mixCase(plain) : plain;
  const packet: Packet = {
    type: 'query',
    id,
    // AD asks for the bit in the reply without asking for the signatures (RFC 6840 §5.7).
    flags: RECURSION_DESIRED | AUTHENTIC_DATA,
    questions: [{ type, name, class: 'IN' }],
  };
  const opt = { udpPayloadSize: UDP_PAYLOAD_OCTETS, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] };
  if (edns) packet.additionals = [{ type: 'OPT', name: '.', ...opt }];
  return { id, name, type, isExact: mixed, octets: encode(packet) };
}

/** Behind the number of questions. */
const RECORD_COUNTS_AT = 6;
const HEADER_OCTETS = 12;

function tryDecode(octets: Buffer): DecodedPacket | undefined {
  try {
    return decode(octets);
  } catch {
    return undefined;
  }
}

/** Of a reply that was cut off in the midst of a record: header and question, which tell whose it is. */
function decodeTruncated(octets: Buffer): DecodedPacket | undefined {
  if (octets.length < HEADER_OCTETS || (octets.readUInt16BE(2) & TRUNCATED_RESPONSE) === 0) return undefined;
  const bare = Buffer.from(octets);
  bare.fill(0, RECORD_COUNTS_AT, HEADER_OCTETS);
  return tryDecode(bare);
}

/** The reply if it answers this very query, else undefined: a forged or late datagram is passed over. */
function parseReply(octets: Buffer, query: Query): DecodedPacket | undefined {
  const packet = tryDecode(octets) ?? decodeTruncated(octets);
  if (packet === undefined) return undefined;
  const asked = packet.questions?.[0];
  const name = query.isExact ? asked?.name : asked?.name.toLowerCase();
  return packet.type === 'response' && packet.id === query.id && asked?.type === query.type && name === query.name ? packet : undefined;
}

const reasonOf = (error: Error): string => (error as NodeJS.ErrnoException).code ?? error.message;

function askByUdp(question: Question, options: ExchangeOptions): Promise<Exchange> {
  const { server, clock, timeoutMs } = options;
  return new Promise((resolve) => {
    const query = formatQuery(question);
    // A socket of its own per query: the kernel picks its port at random (RFC 5452 §9.2).
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
    const finish = (result: Exchange) => {
      callOff();
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.close();
      resolve(result);
    };
    const callOff = clock.after(timeoutMs, () => finish({ reason: 'no answer in time' }));
    socket.on('error', (error) => finish({ reason: reasonOf(error) }));
    socket.on('message', (octets) => {
      const packet = parseReply(octets, query);
      if (packet) finish({ packet });
    });
    // Without a callback a failure is an event.
    socket.on('connect', () => socket.send(query.octets));
    socket.connect(server.port, server.address);
  });
}

function askByTcp(question: Question, options: ExchangeOptions): Promise<Exchange> {
  const { server, clock, timeoutMs } = options;
  return new Promise((resolve) => {
    const query = formatQuery(question);
    const socket = connect(server.port, server.address);
    let received = Buffer.alloc(0);
    const finish = (result: Exchange) => {
      callOff();
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
      resolve(result);
    };
    const callOff = clock.after(timeoutMs, () => finish({ reason: 'no answer in time' }));
    socket.on('error', (error) => finish({ reason: reasonOf(error) }));
    socket.on('close', () => finish({ reason: 'connection closed' }));
    socket.on('connect', () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.octets.length);
      socket.write(Buffer.concat([length, query.octets]));
    });
    socket.on('data', (octets: Buffer) => {
      received = Buffer.concat([received, octets]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const packet = parseReply(received.subarray(2, 2 + received.readUInt16BE(0)), query);
      finish(packet ? { packet } : { reason: 'unintelligible answer' });
    });
  });
}

/** Asks one server by UDP, and by TCP where the reply did not fit (RFC 7766 §5). Takes at most twice `timeoutMs`. */
export async function exchange(question: Question, options: ExchangeOptions): Promise<Exchange> {
  const answer = await askByUdp(question, options);
  if (!('packet' in answer && answer.packet.flag_tc)) return answer;
  const whole = await askByTcp(question, options);
  // What is left of such a reply would read as "no such record".
  return 'packet' in whole && whole.packet.flag_tc ? { reason: 'truncated over TCP' } : whole;
}
