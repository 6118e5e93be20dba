import { Buffer } from 'node:buffer';
import { view } from './octets.ts';

/**
 * Work that can be interrupted: each `yield` ends a step of about 1 ms, so that a caller may let others run in between.
 * `run` does it in one go.
 */
export type Steps<T> = Generator<undefined, T>;

export function run<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

const STEP_OCTETS = 256 * 1024;
const CR = 13;
const LF = 10;
const DASH = 45;
const EQUALS = 61;
const HEX = Buffer.from('0123456789ABCDEF');

/** 1: stands for itself in quoted-printable, 2: does so unless a line ends behind it, 0: never (RFC 2045 §6.7). */
const KIND = new Uint8Array(256).fill(1, 33, 127);
KIND[EQUALS] = 0;
KIND[32] = 2;
KIND[9] = 2;

const endsLine = (input: Uint8Array, at: number): boolean => at >= input.length || (input[at] === CR && input[at + 1] === LF);

interface QuotedPrintable {
  readonly input: Uint8Array;
  readonly output: Uint8Array;
  read: number;
  written: number;
  /** Characters on the current output line. */
  column: number;
  /** The current output line follows a soft line break. */
  isContinued: boolean;
}

/** Octets of `input[from, to)` that take three characters, or more: an upper bound. */
function countEncoded(input: Uint8Array, from: number, to: number): number {
  let count = 0;
  for (let at = from; at < to; at++) {
    const kind = KIND[input[at] ?? 0];
    if (kind === 0 || (kind === 2 && endsLine(input, at + 1))) count++;
  }
  return count;
}

/** Encodes up to `to`; lines of at most 76 characters. */
function encodeUpTo(state: QuotedPrintable, to: number): void {
  const { input, output } = state;
  let { read, written, column, isContinued } = state;
  for (; read < to; read++) {
    const octet = input[read] ?? 0;
    if (octet === CR && input[read + 1] === LF) {
      output[written++] = CR;
      output[written++] = LF;
      column = 0;
      isContinued = false;
      read++;
      continue;
    }
    const kind = KIND[octet];
    const isPlain = kind === 1 || (kind === 2 && !endsLine(input, read + 1));
    if (column + (isPlain ? 1 : 3) > 75) {
      output[written++] = EQUALS;
      output[written++] = CR;
      output[written++] = LF;
      column = 0;
      isContinued = true;
    }
    // A broken line must not begin like a boundary: the text could hold one in its middle.
    if (isPlain && (octet !== DASH || column > 0 || !isContinued)) {
      output[written++] = octet;
      column++;
    } else {
      output[written++] = EQUALS;
      output[written++] = HEX[octet >> 4] ?? 0;
      output[written++] = HEX[octet & 15] ?? 0;
      column += 3;
    }
  }
  Object.assign(state, { read, written, column, isContinued });
}

/**
 * Quoted-printable of a text with CRLF line ends (RFC 2045 §6.7): lines of at most 76 characters; CR and LF that do not
 * stand together are encoded, so that decoding gives the same octets.
 */
export function* quotedPrintable(input: Uint8Array): Steps<Uint8Array> {
  let encoded = 0;
  for (let from = 0; from < input.length; from += STEP_OCTETS) {
    encoded += countEncoded(input, from, Math.min(from + STEP_OCTETS, input.length));
    yield;
  }
  // A line is broken after at least 73 characters; a break takes 3 and may cost 2 for a dash behind it.
  const characters = input.length + 2 * encoded;
  const output = Buffer.allocUnsafe(characters + 5 * (Math.floor(characters / 73) + 1));
  const state: QuotedPrintable = { input, output, read: 0, written: 0, column: 0, isContinued: false };
  while (state.read < input.length) {
    encodeUpTo(state, Math.min(state.read + STEP_OCTETS, input.length));
    yield;
  }
  return output.subarray(0, state.written);
}

const LINE_OCTETS = 57;

/** Base64 in lines of 76 characters, each with CRLF (RFC 2045 §6.8). */
export function* base64(input: Uint8Array): Steps<Uint8Array> {
  const source = view(input);
  const lines = Math.ceil(input.length / LINE_OCTETS);
  const output = Buffer.allocUnsafe(Math.ceil(input.length / 3) * 4 + 2 * lines);
  let written = 0;
  for (let line = 0; line < lines; line++) {
    const text = source.toString('base64', line * LINE_OCTETS, (line + 1) * LINE_OCTETS);
    written += output.write(`${text}\r\n`, written, 'latin1');
    if (line % 4096 === 4095) yield;
  }
  return output;
}
