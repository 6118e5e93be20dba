import { isIPv4, isIPv6, type Socket } from 'node:net';

/** Why a connection that should begin with a PROXY header is not taken. */
export type ProxyTrouble = 'missing' | 'broken' | 'too_long' | 'late';

export type ProxyHeader =
  /** What came so far is no whole header yet. */
  | { readonly is: 'more' }
  /** `octets` of the input are the header. Without an address: the connection is the balancer's own, such as a health check. */
  | { readonly is: 'header'; readonly octets: number; readonly address?: string }
  | { readonly is: 'refused'; readonly trouble: ProxyTrouble };

/** The PROXY protocol, §2.1: the longest line of version 1, its CRLF included. */
const V1_MAX_OCTETS = 107;
const V1_START = Buffer.from('PROXY ', 'latin1');
/** §2.2. */
const V2_START = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_FIXED_OCTETS = 16;
/** Twice over what §2.2 asks a receiver to take (536): balancers add names and certificates behind the addresses. */
const V2_MAX_OCTETS = 2048;
const [LOCAL, PROXY] = [0x20, 0x21];
/** Octets of an address by family; what is neither is told by no balancer for TCP. */
const ADDRESS_OCTETS: Readonly<Record<number, number>> = { 17: 4, 33: 16 };
const UNSPECIFIED = 0x00;

const refused = (trouble: ProxyTrouble): ProxyHeader => ({ is: 'refused', trouble });
const beginsLike = (input: Buffer, start: Buffer) => input.subarray(0, start.length).equals(start.subarray(0, input.length));
const isPort = (text: string) => /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;

function parseV1(input: Buffer): ProxyHeader {
  const end = input.subarray(0, V1_MAX_OCTETS).indexOf('\r\n');
  if (end < 0) return input.length >= V1_MAX_OCTETS ? refused('too_long') : { is: 'more' };
  const octets = end + 2;
  const [, family = '', ...rest] = input.toString('latin1', 0, end).split(' ');
  // §2.1: whatever else stands in the line is to be ignored.
  if (family === 'UNKNOWN') return { is: 'header', octets };
  const [source = '', target = '', sourcePort = '', targetPort = '', more] = rest;
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : () => false;
  const isWhole = more === undefined && isAddress(source) && isAddress(target) && isPort(sourcePort) && isPort(targetPort);
  return isWhole ? { is: 'header', octets, address: source } : refused('broken');
}

function formatIPv6(octets: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, at) => octets.readUInt16BE(at * 2).toString(16));
  // The form that everything else compares by.
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}

function parseV2(input: Buffer): ProxyHeader {
  if (input.length < V2_FIXED_OCTETS) return { is: 'more' };
  const [command, family, length] = [input[12] ?? 0, input[13] ?? 0, input.readUInt16BE(14)];
  const octets = V2_FIXED_OCTETS + length;
  if (command !== LOCAL && command !== PROXY) return refused('broken');
  if (octets > V2_MAX_OCTETS) return refused('too_long');
  if (input.length < octets) return { is: 'more' };
  if (command === LOCAL || family === UNSPECIFIED) return { is: 'header', octets };
  const size = ADDRESS_OCTETS[family];
  if (size === undefined || length < size * 2 + 4) return refused('broken');
  const source = input.subarray(V2_FIXED_OCTETS, V2_FIXED_OCTETS + size);
  return { is: 'header', octets, address: size === 4 ? [...source].join('.') : formatIPv6(source) };
}

/**
 * Reads the beginning of a connection as a header of the PROXY protocol, version 1 or 2 (HAProxy's document of that name). Feed it
 * the input from its first octet on until it says more than `more`, which it does within 2,048 octets.
 */
export function parseProxyHeader(input: Buffer): ProxyHeader {
  if (beginsLike(input, V2_START)) return input.length < V2_START.length ? { is: 'more' } : parseV2(input);
  if (beginsLike(input, V1_START)) return input.length < V1_START.length ? { is: 'more' } : parseV1(input);
  return refused('missing');
}

export type ProxyAnswer =
  /** The address of the client; absent: the connection's own. */
  | { readonly is: 'header'; readonly address?: string }
  | { readonly is: 'refused'; readonly trouble: ProxyTrouble }
  /** It ended before it said anything that is wrong. */
  | { readonly is: 'left' };

/** Takes the header off a connection that nobody has read yet; what follows it is read by whoever comes next. */
export function readProxyHeader(socket: Socket, timeoutMs: number): Promise<ProxyAnswer> {
  return new Promise((resolve) => {
    let input = Buffer.alloc(0);
    const finish = (answer: ProxyAnswer) => {
      clearTimeout(late);
      socket.off('readable', read);
      for (const event of ['end', 'close', 'error'] as const) socket.off(event, leave);
      resolve(answer);
    };
    const late = setTimeout(() => finish({ is: 'refused', trouble: input.length === 0 ? 'missing' : 'late' }), timeoutMs);
    const leave = () => finish({ is: 'left' });
    const read = () => {
      for (let part: Buffer | null = socket.read(); part !== null; part = socket.read()) {
        input = Buffer.concat([input, part]);
        const header = parseProxyHeader(input);
        if (header.is === 'more') continue;
        if (header.is === 'header' && header.octets < input.length) socket.unshift(input.subarray(header.octets));
        finish(header);
        return;
      }
    };
    socket.on('readable', read);
    for (const event of ['end', 'close', 'error'] as const) socket.once(event, leave);
    read();
  });
}
