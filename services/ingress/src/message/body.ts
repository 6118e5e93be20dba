import type { Holding } from '../limits/unacknowledged.ts';
import { BLOCK_OCTETS, type Blocks } from './blocks.ts';

/** Smaller pieces are copied together: a Buffer object for each octet would cost a hundred times the octet. */
const SMALL_OCTETS = 4096;
const MIN_SLAB_OCTETS = 1024;
const MAX_SLAB_OCTETS = 16_384;
/** Room that `content` leaves in front of the octets for the fields we add. */
export const HEADROOM_OCTETS = 1024;

/** Collects a message's octets while they come, within `maxOctets`; beyond it, or once dropped, it only counts. */
export class Body {
  /** Octets received, kept or not. */
  octets = 0;
  /** The first limit that was passed; then nothing is kept. */
  lost: 'tooLarge' | 'noRoom' | undefined;
  private readonly maxOctets: number;
  private readonly holding: Holding;
  private pieces: Buffer[] = [];
  private slab: Buffer | undefined;
  private slabUsed = 0;
  private readonly lender: Blocks;
  private blocks: Buffer[] = [];

  constructor(o: { readonly maxOctets: number; readonly blocks: Blocks; readonly openHolding: (drop: () => void) => Holding }) {
    this.maxOctets = o.maxOctets;
    this.lender = o.blocks;
    this.holding = o.openHolding(() => this.lose('noRoom'));
  }

  push(piece: Buffer): void {
    this.octets += piece.length;
    if (this.lost || piece.length === 0) return;
    if (this.octets > this.maxOctets) {
      this.lose('tooLarge');
      return;
    }
    if (piece.length >= SMALL_OCTETS && !this.isLarge) {
      this.endSlab();
      this.pieces.push(piece);
    } else this.copy(piece);
    this.holding.add(piece.length);
  }

  complete(): void {
    this.holding.complete();
  }

  /** Forgets the content and gives the memory back, also what `assemble` gave of it. */
  release(): void {
    this.pieces = [];
    this.slab = undefined;
    this.slabUsed = 0;
    this.lender.giveBack(this.blocks);
    this.blocks = [];
    this.holding.release();
  }

  /**
   * The content: headroom and its first `headOctets` octets in one buffer, and what follows in pieces as they came. Copies
   * no more than the head.
   */
  assemble(headOctets: number): { readonly buffer: Buffer; readonly rest: readonly Buffer[] } {
    this.endSlab();
    const pieces = this.pieces;
    this.pieces = [];
    const buffer = Buffer.allocUnsafe(HEADROOM_OCTETS + Math.min(headOctets, this.octets));
    let at = HEADROOM_OCTETS;
    const rest: Buffer[] = [];
    for (const piece of pieces) {
      const copied = at < buffer.length ? piece.copy(buffer, at) : 0;
      at += copied;
      if (copied < piece.length) rest.push(piece.subarray(copied));
    }
    return { buffer, rest };
  }

  private lose(why: 'tooLarge' | 'noRoom'): void {
    this.lost = why;
    this.release();
  }

  /** It has more than a block, and so wastes no more of borrowed ones than it has. */
  private get isLarge(): boolean {
    return this.octets > BLOCK_OCTETS;
  }

  private copy(piece: Buffer): void {
    for (let at = 0; at < piece.length; ) {
      if (this.slabUsed === this.slab?.length) this.endSlab();
      this.slab ??= this.openSlab(piece.length);
      const copied = piece.copy(this.slab, this.slabUsed, at);
      this.slabUsed += copied;
      at += copied;
    }
  }

  private openSlab(wantedOctets: number): Buffer {
    if (!this.isLarge) return Buffer.allocUnsafeSlow(Math.min(Math.max(MIN_SLAB_OCTETS, wantedOctets, this.octets), MAX_SLAB_OCTETS));
    const block = this.lender.take();
    this.blocks.push(block);
    return block;
  }

  private endSlab(): void {
    if (this.slab) this.pieces.push(this.slab.subarray(0, this.slabUsed));
    this.slab = undefined;
    this.slabUsed = 0;
  }
}
