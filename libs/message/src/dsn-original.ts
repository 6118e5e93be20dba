import { isUtf8 } from 'node:buffer';
import type { DsnRequest } from './dsn-request.ts';
import type { HeaderScan } from './header.ts';
import { hasEightBit, hasLongLine } from './octets.ts';
import { toSevenBit } from './seven-bit.ts';
import { quotedPrintable, run } from './transfer-encoding.ts';

/** A MIME part: its Content fields, with CRLF each, and its encoded body. */
export interface Part {
  readonly fields: string;
  readonly body: string | Uint8Array;
}

/** Longest header section that is returned; a longer one is cut between two fields. */
const HEADERS_MAX_OCTETS = 128 * 1024;

/** Header section without its blank line (RFC 6522 §4). */
function headerSection(o: DsnRequest, scan: HeaderScan): Uint8Array {
  return o.original.octets.subarray(0, scan.all.findLast(({ end }) => end <= HEADERS_MAX_OCTETS)?.end ?? 0);
}

function headersPart(header: Uint8Array, isGlobal: boolean): Part {
  const eightBit = hasEightBit(header);
  if (!hasLongLine(header) && (isGlobal || !eightBit)) {
    const type = isGlobal ? 'message/global-headers' : 'text/rfc822-headers';
    return { fields: `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${eightBit ? '8bit' : '7bit'}\r\n`, body: header };
  }
  // Broken headers may be encoded (RFC 6522 §4).
  const type = isGlobal && eightBit ? 'message/global-headers' : 'text/rfc822-headers';
  return { fields: `Content-Type: ${type}\r\nContent-Transfer-Encoding: quoted-printable\r\n`, body: run(quotedPrintable(header)) };
}

/**
 * The message as it is or, for the sake of its long lines, recoded. Undefined: only its header can be returned, since a
 * message that cannot be made 7-bit would hold up the report at a host without 8BITMIME (RFC 6522 §3).
 */
function messagePart(octets: Uint8Array, isGlobal: boolean): Part | undefined {
  const sevenBit = isGlobal ? octets : toSevenBit(octets);
  if (!sevenBit) return undefined;
  const body = hasLongLine(octets) ? sevenBit : octets;
  if (hasLongLine(body)) return undefined;
  const type = isGlobal ? 'message/global' : 'message/rfc822';
  return { fields: `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${hasEightBit(body) ? '8bit' : '7bit'}\r\n`, body };
}

/**
 * The third part. The whole message only if a recipient failed, RET does not forbid it and it is not too long (RFC 3461
 * §4.3, §6.2); else its header. Octets above 127 in the header need the global types (RFC 6533 §4.2, §4.3); in a report
 * that is not `isUtf8Report` they are encoded, which only a header part can be.
 */
export function originalPart(o: DsnRequest, scan: HeaderScan, isUtf8Report: boolean): Part {
  const { octets, ret } = o.original;
  const header = headerSection(o, scan);
  const isGlobal = isUtf8Report && scan.hasEightBit && isUtf8(header);
  const mayReturnAll = ret !== 'hdrs' && octets.length <= o.fullMaxOctets && o.recipients.some(({ action }) => action === 'failed');
  const whole = mayReturnAll && scan.complete && (isGlobal || !scan.hasEightBit) ? messagePart(octets, isGlobal) : undefined;
  return whole ?? headersPart(header, isGlobal);
}
