import { HEADER_LIMITS, scanHeader } from '@angarium/message';

const RETURN_PATH = /^return-path[ \t]*:/im;

/**
 * The message without the Return-Path fields that it came with: final delivery adds the only one, and may remove others
 * (RFC 5321 §4.4). The same array when there are none, which costs no copy. Ends with CRLF, as POP3 must send it.
 */
export function finalContent(content: Uint8Array): Uint8Array {
  const kept = withoutReturnPath(content);
  const endsLine = kept.at(-2) === 13 && kept.at(-1) === 10;
  return endsLine ? kept : Buffer.concat([kept, Buffer.from('\r\n')]);
}

function withoutReturnPath(content: Uint8Array): Uint8Array {
  const head = Buffer.from(content.buffer, content.byteOffset, Math.min(content.length, HEADER_LIMITS.maxOctets));
  const end = head.indexOf('\r\n\r\n');
  if (!RETURN_PATH.test(head.toString('latin1', 0, end < 0 ? head.length : end))) return content;
  const fields = scanHeader(content).fields('return-path');
  const kept: Uint8Array[] = [];
  let at = 0;
  for (const field of fields) {
    kept.push(content.subarray(at, field.start));
    at = field.end;
  }
  return Buffer.concat([...kept, content.subarray(at)]);
}
