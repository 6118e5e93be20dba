import type { Buffer } from 'node:buffer';
import { view } from './octets.ts';
import type { Steps } from './transfer-encoding.ts';

/** A piece of a multipart body; the pieces joined are the body. */
export interface Section {
  /** False: a delimiter line, or the text before the first and after the last. */
  readonly isPart: boolean;
  readonly octets: Uint8Array;
}

interface Delimiter {
  readonly start: number;
  readonly end: number;
  readonly isClosing: boolean;
}

const WINDOW_OCTETS = 1024 * 1024;
const MAX_SECTIONS = 2001;

/** `indexOf` in windows. -1: not found. */
function* find(octets: Buffer, needle: string, from: number): Steps<number> {
  for (let at = from; at < octets.length; at += WINDOW_OCTETS) {
    const found = octets.subarray(at, at + WINDOW_OCTETS + needle.length - 1).indexOf(needle, 0, 'latin1');
    if (found >= 0) return at + found;
    yield;
  }
  return -1;
}

/** The delimiter line whose `--` stands at `start`: boundary, `--` if closing, blanks, line end (RFC 2046 §5.1.1). */
function delimiterAt(octets: Buffer, start: number, boundary: string): Delimiter | undefined {
  let at = start + 2 + boundary.length;
  const isClosing = octets[at] === 45 && octets[at + 1] === 45;
  if (isClosing) at += 2;
  while (octets[at] === 32 || octets[at] === 9) at++;
  if (at === octets.length) return { start, end: at, isClosing };
  return octets[at] === 13 && octets[at + 1] === 10 ? { start, end: at + 2, isClosing } : undefined;
}

/** Delimiter lines up to the closing one. A line that only begins like one is text. */
function* findDelimiters(octets: Buffer, boundary: string): Steps<Delimiter[]> {
  const delimiters: Delimiter[] = [];
  const first = octets.toString('latin1', 0, 2 + boundary.length) === `--${boundary}` ? delimiterAt(octets, 0, boundary) : undefined;
  if (first) delimiters.push(first);
  let from = first ? first.end - 2 : 0;
  while (delimiters.at(-1)?.isClosing !== true && delimiters.length < MAX_SECTIONS) {
    const lineBreak = yield* find(octets, `\r\n--${boundary}`, from);
    if (lineBreak < 0) break;
    const delimiter = delimiterAt(octets, lineBreak + 2, boundary);
    if (delimiter) delimiters.push(delimiter);
    from = delimiter ? delimiter.end - 2 : lineBreak + 2;
  }
  return delimiters;
}

/**
 * Cuts a multipart body at its delimiter lines; each delimiter takes the CRLF before it. A missing closing delimiter is
 * forgiven. Undefined: there is no delimiter, or there are more than 2,000. Nothing is copied.
 */
export function* splitMultipart(body: Uint8Array, boundary: string): Steps<Section[] | undefined> {
  const octets = view(body);
  const delimiters = yield* findDelimiters(octets, boundary);
  if (delimiters.length === 0 || delimiters.length >= MAX_SECTIONS) return undefined;
  const sections: Section[] = [];
  let textFrom = 0;
  for (const [index, delimiter] of delimiters.entries()) {
    if (delimiter.isClosing) break;
    const next = delimiters[index + 1];
    const partEnd = next ? Math.max(delimiter.end, next.start - 2) : octets.length;
    sections.push({ isPart: false, octets: octets.subarray(textFrom, delimiter.end) });
    sections.push({ isPart: true, octets: octets.subarray(delimiter.end, partEnd) });
    textFrom = partEnd;
  }
  sections.push({ isPart: false, octets: octets.subarray(textFrom) });
  return sections;
}
