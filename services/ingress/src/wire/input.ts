import { SMTP_LIMITS } from '@angarium/smtp';
import type { Body } from '../message/body.ts';
import { DataDecoder } from './data-decoder.ts';

const CR = 0x0d;
const LF = 0x0a;
const CRLF = Buffer.from('\r\n');
/** Commands that one chunk may run before the event loop turns. */
const COMMANDS_PER_TURN = 100;

/** What the input tells its session. `next` goes on reading and is called once. */
export interface InputOwner {
  /** Longest line that may come now, CRLF included. */
  lineLimit(start: Buffer): number;
  onLine(line: Buffer, next: () => void): void;
  /** A line that is no command; the rest of it is discarded. */
  onBadLine(why: 'lineEnd' | 'tooLong', next: () => void): void;
  /** Octets that were read and are not yet handled, when a batch of commands starts. */
  onAhead(lines: Buffer): void;
  /** Octets of a message were taken, its end is not among them. */
  onData(next: () => void): void;
  onDataEnd(data: { readonly body: Body; readonly hasBareLineEnd: boolean }, next: () => void): void;
}

interface Data {
  readonly body: Body;
  readonly decoder: DataDecoder;
}

/**
 * Cuts what a client sends into lines and messages. Only CRLF ends a line; a line with a CR or LF of another kind, or a longer
 * one than is allowed, is refused once, where that is first seen, and discarded up to its CRLF. Boundaries of chunks do not matter.
 */
export class Input {
  private readonly owner: InputOwner;
  private readonly isClosed: () => boolean;
  private partial: Buffer | undefined;
  private isDiscarding = false;
  private data: Data | undefined;
  private inTurn = 0;

  /** @param isClosed nothing more is handled then, also of a chunk that is being handled now */
  constructor(owner: InputOwner, isClosed: () => boolean) {
    this.owner = owner;
    this.isClosed = isClosed;
  }

  /** The next octets are a message. */
  startBody(body: Body): void {
    this.data = { body, decoder: new DataDecoder((piece) => body.push(piece)) };
  }

  /**
   * Handles a chunk piece by piece, each after the one before it was answered; `done` comes at its end. A session that
   * answers at once does not deepen the stack.
   */
  read(chunk: Buffer, done: () => void): void {
    const input = this.partial ? Buffer.concat([this.partial, chunk]) : chunk;
    this.partial = undefined;
    if (!this.data && !this.isClosed()) this.owner.onAhead(input);
    let at = 0;
    let isRunning = false;
    let again = false;
    const turn = () => {
      if (isRunning) {
        again = true;
        return;
      }
      isRunning = true;
      do {
        again = false;
        if (this.isClosed() || at >= input.length) {
          done();
          break;
        }
        if (++this.inTurn > COMMANDS_PER_TURN) {
          this.inTurn = 0;
          setImmediate(turn);
          break;
        }
        at += this.data ? this.takeData(this.data, input.subarray(at), turn) : this.takeLine(input.subarray(at), turn);
      } while (again);
      isRunning = false;
    };
    turn();
  }

  private takeData(data: Data, input: Buffer, next: () => void): number {
    const end = data.decoder.feed(input);
    if (end < 0) {
      this.owner.onData(next);
      return input.length;
    }
    this.data = undefined;
    if (end < input.length) this.owner.onAhead(input.subarray(end));
    this.owner.onDataEnd({ body: data.body, hasBareLineEnd: data.decoder.hasBareLineEnd }, next);
    return end;
  }

  private takeLine(input: Buffer, next: () => void): number {
    const lf = input.indexOf(LF);
    const cr = input.indexOf(CR);
    const length = lf < 0 ? input.length : lf + 1;
    const endsInCr = cr === (lf < 0 ? input.length : lf) - 1;
    const isWhole = lf > 0 && endsInCr;
    const isClean = isWhole || (lf < 0 && (cr < 0 || endsInCr));
    if (this.isDiscarding || !isClean) return this.discard(input, next);
    if (length > (isWhole ? this.owner.lineLimit(input) : SMTP_LIMITS.authLineOctets)) {
      this.isDiscarding = !isWhole;
      this.owner.onBadLine('tooLong', next);
    } else if (isWhole) this.owner.onLine(input.subarray(0, lf - 1), next);
    else {
      this.partial = Buffer.from(input);
      next();
    }
    return length;
  }

  /** Skips to the end of a bad line, which is refused where it is first seen. */
  private discard(input: Buffer, next: () => void): number {
    const end = input.indexOf(CRLF);
    const isNew = !this.isDiscarding;
    this.isDiscarding = end < 0;
    if (end < 0 && input[input.length - 1] === CR) this.partial = Buffer.of(CR);
    if (isNew) this.owner.onBadLine('lineEnd', next);
    else next();
    return end < 0 ? input.length : end + CRLF.length;
  }
}
