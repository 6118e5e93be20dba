import { SMTP_LIMITS } from '@angarium/smtp';
import type { Body } from '../message/body.ts';
import { DataDecoder } from './data-decoder.ts';

const CR = 0x0d;
const LF = 0x0a;
const CRLF = Buffer.from('\r\n');
const NOTHING = Buffer.alloc(0);
/** Commands that one chunk may run before the event loop turns. */
const COMMANDS_PER_TURN = 100;

/** What the input tells its session. `next` goes on reading and is called once. */
export interface InputOwner {
  /** Longest line that may come now, CRLF included; asked about those that are too long for most commands. */
  lineLimit(start: Buffer): number;
  onLine(line: Buffer, next: () => void): void;
  /** A line that is no command; the rest of it is discarded. */
  onBadLine(why: 'lineEnd' | 'tooLong', next: () => void): void;
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
  /** What is being handled, and how far. */
  private chunk: Buffer = NOTHING;
  private at = 0;
  private isSeen = false;
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

  /** Octets that were read and are not yet handled, command lines in all likelihood. Once a chunk, so that looking stays little work. */
  ahead(): Buffer {
    if (this.isSeen) return NOTHING;
    this.isSeen = true;
    return this.chunk.subarray(this.at);
  }

  /**
   * Handles a chunk piece by piece, each after the one before it was answered; `done` comes at its end. A session that
   * answers at once does not deepen the stack.
   */
  read(chunk: Buffer, done: () => void): void {
    this.chunk = this.partial ? Buffer.concat([this.partial, chunk]) : chunk;
    this.at = 0;
    this.isSeen = false;
    this.partial = undefined;
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
        if (this.isClosed() || this.at >= this.chunk.length) {
          this.chunk = NOTHING;
          done();
          break;
        }
        if (++this.inTurn > COMMANDS_PER_TURN) {
          this.inTurn = 0;
          setImmediate(turn);
          break;
        }
        if (this.data) this.takeData(this.data, turn);
        else this.takeLine(turn);
      } while (again);
      isRunning = false;
    };
    turn();
  }

  private takeData(data: Data, next: () => void): void {
    const end = data.decoder.feed(this.chunk.subarray(this.at));
    this.at = end < 0 ? this.chunk.length : this.at + end;
    if (end < 0) this.owner.onData(next);
    else {
      this.data = undefined;
      this.owner.onDataEnd({ body: data.body, hasBareLineEnd: data.decoder.hasBareLineEnd }, next);
    }
  }

  private takeLine(next: () => void): void {
    const { chunk, at } = this;
    const lf = chunk.indexOf(LF, at);
    const cr = chunk.indexOf(CR, at);
    const end = lf < 0 ? chunk.length : lf + 1;
    const endsInCr = cr === (lf < 0 ? end : lf) - 1;
    const isWhole = lf > at && endsInCr;
    const isClean = isWhole || (lf < 0 && (cr < 0 || endsInCr));
    this.at = end;
    if (this.isDiscarding || !isClean) this.discard(at, next);
    else if (this.isTooLong(at, end, { isWhole })) {
      this.isDiscarding = !isWhole;
      this.owner.onBadLine('tooLong', next);
    } else if (isWhole) this.owner.onLine(chunk.subarray(at, lf - 1), next);
    else {
      this.partial = Buffer.from(chunk.subarray(at));
      next();
    }
  }

  private isTooLong(from: number, end: number, { isWhole }: { isWhole: boolean }): boolean {
    const octets = end - from;
    if (!isWhole) return octets > SMTP_LIMITS.authLineOctets;
    return octets > SMTP_LIMITS.commandLineOctets && octets > this.owner.lineLimit(this.chunk.subarray(from, end));
  }

  /** Skips to the end of a bad line, which is refused where it is first seen. */
  private discard(from: number, next: () => void): void {
    const { chunk } = this;
    const end = chunk.indexOf(CRLF, from);
    const isNew = !this.isDiscarding;
    this.isDiscarding = end < 0;
    this.at = end < 0 ? chunk.length : end + CRLF.length;
    if (end < 0 && chunk[chunk.length - 1] === CR) this.partial = Buffer.of(CR);
    if (isNew) this.owner.onBadLine('lineEnd', next);
    else next();
  }
}
