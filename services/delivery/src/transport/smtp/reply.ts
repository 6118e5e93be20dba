import { printable } from '@angarium/smtp';

/** What a host answered. Code 0: not a reply of RFC 5321 §4.2; such a host is not believed in anything. */
export interface HostReply {
  readonly code: number;
  /** "5.1.1", of the same class as the code; empty when the host gave none. */
  readonly enhanced: string;
  /** Lines joined by LF; printable, at most 1,000 octets. */
  readonly text: string;
}

export const MAX_TEXT_OCTETS = 1000;

/** RFC 5321 §4.2: three digits of a known class, then a space, a hyphen in all lines but the last, or nothing. */
const LINE = /^([2-5]\d\d)(?:[ -](.*))?$/s;
/** RFC 3463 §2. */
const ENHANCED = /^([245]\.\d{1,3}\.\d{1,3})(?: |$)/;

/**
 * Parses a whole reply, lines separated by LF. Lines that disagree about the code make it no reply: code 0 and 4.5.0, so that
 * nothing is concluded from it. Linear; the session bounds the length.
 */
export function parseReply(raw: string): HostReply {
  const lines = raw.split('\n').map((line) => LINE.exec(line.replace(/\r$/, '')));
  const code = lines[0]?.[1];
  if (code === undefined || lines.some((line) => line?.[1] !== code)) {
    const said = printable(raw.replaceAll('\n', ' '), MAX_TEXT_OCTETS - 40);
    return { code: 0, enhanced: '4.5.0', text: `protocol error, the host said: ${said}` };
  }
  let enhanced = '';
  const texts: string[] = [];
  let octets = 0;
  for (const line of lines) {
    const text = line?.[2] ?? '';
    const status = ENHANCED.exec(text)?.[1];
    const fits = status?.[0] === code[0] ? status : undefined;
    enhanced ||= fits ?? '';
    const shown = printable(fits === undefined ? text : text.slice(fits.length).trimStart(), MAX_TEXT_OCTETS);
    octets += shown.length + 1;
    if (octets > MAX_TEXT_OCTETS + 1) {
      texts.push(shown.slice(0, Math.max(0, shown.length - (octets - MAX_TEXT_OCTETS - 1))));
      break;
    }
    texts.push(shown);
  }
  return { code: Number(code), enhanced, text: texts.join('\n') };
}
