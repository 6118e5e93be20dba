import { type HeaderScan, scanHeader } from '@angarium/message';
import { type Body, HEADROOM_OCTETS } from './body.ts';

/** A field name and its colon, or the line that mbox puts before a message. */
const FIRST_LINE = /^(?:[!-9;-~]+[ \t]*:|>?From )/;
const LINE_SAMPLE_OCTETS = 1000;

/** A message as the client sent it, before anything is added. */
export interface Incoming {
  readonly queueId: string;
  readonly receivedMs: number;
  /** The content behind room for our own fields. */
  readonly buffer: Buffer;
  readonly content: Buffer;
  readonly header: HeaderScan;
  /** It starts with text where the header should be: a blank line must go between our fields and that text. */
  readonly isHeadless: boolean;
}

export async function readIncoming(body: Body, stamp: { readonly queueId: string; readonly receivedMs: number }): Promise<Incoming> {
  const buffer = await body.assemble();
  const content = buffer.subarray(HEADROOM_OCTETS);
  const start = content.toString('latin1', 0, LINE_SAMPLE_OCTETS);
  const isHeadless = !start.startsWith('\r\n') && !FIRST_LINE.test(start);
  return { ...stamp, buffer, content, header: scanHeader(isHeadless ? Buffer.from('\r\n') : content), isHeadless };
}

/** The content with our fields in front of it; copies nothing when they fit into the headroom. */
export function withFields({ buffer, content, isHeadless }: Incoming, fields: string): Buffer {
  const added = Buffer.from(isHeadless ? `${fields}\r\n` : fields);
  if (added.length > HEADROOM_OCTETS) return Buffer.concat([added, content]);
  const at = HEADROOM_OCTETS - added.length;
  added.copy(buffer, at);
  return buffer.subarray(at);
}
