/**
 * A lane record that this release must not pass: corrupt, of an unknown critical kind, or saying something that it does
 * not understand. Whoever meets it does not own the lane: halt it untrimmed and ring.
 */
export class UnreadableRecord extends Error {
  override readonly name = 'UnreadableRecord';
  readonly lane: number;
  readonly offset: number;
  constructor(lane: number, offset: number, reason: string) {
    super(`lane ${lane}, offset ${offset}: ${reason}`);
    this.lane = lane;
    this.offset = offset;
  }
}
