const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const DOTTED_LINE = Buffer.from('\r\n.');
/** A CR or LF that is not part of a CRLF. */
const BARE = /\r(?!\n)|(?<!\r)\n/;

/** Where the next octet stands. */
type Place = 'lineStart' | 'afterDot' | 'afterDotCr' | 'afterCr' | 'inLine';

/**
 * Takes message octets from the wire (RFC 5321 §4.5.2): undoes dot-stuffing and finds the end, which is CRLF.CRLF and nothing
 * else. Boundaries of chunks do not matter. Linear, by native searches; no work per octet.
 */
export class DataDecoder {
  /** A bare CR or LF was seen: some receivers take it for a line end, so the message must be refused. */
  hasBareLineEnd = false;
  private place: Place = 'lineStart';
  private endsInCr = false;
  private joined: Buffer | undefined;
  private joinedOctets = 0;
  private readonly emit: (piece: Buffer) => void;

  constructor(emit: (piece: Buffer) => void) {
    this.emit = emit;
  }

  /** @returns the position behind the end of the message, or -1 when it goes on behind the chunk */
  feed(chunk: Buffer): number {
    const end = this.decode(chunk);
    this.lookForBare(end < 0 ? chunk : chunk.subarray(0, end));
    return end;
  }

  private decode(chunk: Buffer): number {
    let at = 0;
    let from = 0;
    while (at < chunk.length) {
      if (this.place === 'inLine') {
        const found = chunk.indexOf(DOTTED_LINE, at);
        if (found < 0) break;
        this.keep(chunk, from, found + 2);
        at = found + 3;
        from = at;
        this.place = 'afterDot';
        continue;
      }
      const next = this.step(chunk[at] ?? 0);
      if (next === 'end') {
        this.emitJoined(chunk, from, from);
        return at + 1;
      }
      this.place = next;
      if (next === 'inLine') continue;
      if (next === 'afterDot' || next === 'afterDotCr') {
        this.keep(chunk, from, at);
        from = at + 1;
      }
      at++;
    }
    this.emitJoined(chunk, from, chunk.length);
    if (at < chunk.length) this.place = this.placeAfter(chunk, at);
    return -1;
  }

  /** Joins what is left of a chunk without its stuffing: a piece for each dotted line would cost more than the copy. */
  private keep(chunk: Buffer, from: number, to: number): void {
    if (to <= from) return;
    this.joined ??= Buffer.allocUnsafe(chunk.length);
    this.joinedOctets += chunk.copy(this.joined, this.joinedOctets, from, to);
  }

  private emitJoined(chunk: Buffer, from: number, to: number): void {
    if (this.joined) {
      this.keep(chunk, from, to);
      this.emit(this.joined.subarray(0, this.joinedOctets));
    } else if (to > from) this.emit(chunk.subarray(from, to));
    this.joined = undefined;
    this.joinedOctets = 0;
  }

  /** What the octet makes of a place that is not `inLine`. `inLine` leaves the octet to be looked at there. */
  private step(octet: number): Place | 'end' {
    switch (this.place) {
      case 'lineStart':
        return octet === DOT ? 'afterDot' : 'inLine';
      case 'afterDot':
        return octet === CR ? 'afterDotCr' : 'inLine';
      case 'afterDotCr':
        return octet === LF ? 'end' : 'inLine';
      case 'afterCr':
        return octet === LF ? 'lineStart' : 'inLine';
      case 'inLine':
        return 'inLine';
    }
  }

  private placeAfter(chunk: Buffer, at: number): Place {
    const last = chunk[chunk.length - 1];
    if (last === CR) return 'afterCr';
    return last === LF && chunk.length - at >= 2 && chunk[chunk.length - 2] === CR ? 'lineStart' : 'inLine';
  }

  private lookForBare(raw: Buffer): void {
    if (this.hasBareLineEnd || raw.length === 0) return;
    const from = this.endsInCr && raw[0] === LF ? 1 : 0;
    if (this.endsInCr && from === 0) this.hasBareLineEnd = true;
    this.endsInCr = raw[raw.length - 1] === CR;
    const to = this.endsInCr ? raw.length - 1 : raw.length;
    if (to > from && BARE.test(raw.toString('latin1', from, to))) this.hasBareLineEnd = true;
  }
}
