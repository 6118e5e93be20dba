import { HEADER_LIMITS, type HeaderScan, hasEightBit, scanHeader } from '@angarium/message';
import { type Body, HEADROOM_OCTETS } from './body.ts';

/** A field name and its colon, or the line that mbox puts before a message. */
const FIRST_LINE = /^(?:[!-9;-~]+[ \t]*:|>?From )/;
const LINE_SAMPLE_OCTETS = 1000;

/** A message as the client sent it, before anything is added. */
export interface Incoming {
  readonly queueId: string;
  readonly receivedMs: number;
  /** The first octets of the content, behind room for our own fields. */
  readonly buffer: Buffer;
  /** The rest of the content; none where it is no larger than a header section may be. */
  readonly rest: readonly Buffer[];
  readonly header: HeaderScan;
  /** It starts with text where the header should be: a blank line must go between our fields and that text. */
  readonly isHeadless: boolean;
}

/** One octet more than a header section may have: a longer one is seen to be too long. */
const HEAD_OCTETS = HEADER_LIMITS.maxOctets + 1;

export function readIncoming(body: Body, stamp: { readonly queueId: string; readonly receivedMs: number }): Incoming {
  const { buffer, rest } = body.assemble(HEAD_OCTETS);
  const head = buffer.subarray(HEADROOM_OCTETS);
  const start = head.toString('latin1', 0, LINE_SAMPLE_OCTETS);
  const isHeadless = !start.startsWith('\r\n') && !FIRST_LINE.test(start);
  return { ...stamp, buffer, rest, header: scanHeader(isHeadless ? Buffer.from('\r\n') : head), isHeadless };
}

/** Whether an octet above 127 is in the content. */
export const hasEightBitContent = ({ buffer, rest }: Incoming): boolean =>
  hasEightBit(buffer.subarray(HEADROOM_OCTETS)) || rest.some((piece) => hasEightBit(piece));

/** The content with our fields in front of it, in pieces; copies nothing when they fit into the headroom. */
export function withFields({ buffer, rest, isHeadless }: Incoming, fields: string): readonly Buffer[] {
  const added = Buffer.from(isHeadless ? `${fields}\r\n` : fields);
  const at = HEADROOM_OCTETS - added.length;
  if (at < 0) return [Buffer.concat([added, buffer.subarray(HEADROOM_OCTETS)]), ...rest];
  added.copy(buffer, at);
  return [buffer.subarray(at), ...rest];
}
