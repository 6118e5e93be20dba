/** A large message wastes less than one of them. */
export const BLOCK_OCTETS = 64 * 1024;

/**
 * Memory that large messages borrow while they come. What a socket reads lives for a moment then; kept for a whole message of
 * 10 MiB, it would be collected with all else, several times a second.
 */
export interface Blocks {
  /** Blocks that nobody needs now. */
  readonly idle: number;
  /** A block of `BLOCK_OCTETS` with any content. */
  take(): Buffer;
  /** Nobody looks at them any more. */
  giveBack(blocks: readonly Buffer[]): void;
  /** Lets go of the blocks that nobody needed since the last trim. */
  trim(): void;
}

/** There are never more blocks than were borrowed at once; what bounds messages that are not durable bounds them. */
export function createBlocks(): Blocks {
  const idle: Buffer[] = [];
  let fewestIdle = 0;
  return {
    get idle() {
      return idle.length;
    },
    take: () => {
      const block = idle.pop();
      fewestIdle = Math.min(fewestIdle, idle.length);
      return block ?? Buffer.allocUnsafeSlow(BLOCK_OCTETS);
    },
    giveBack: (blocks) => void idle.push(...blocks),
    trim: () => {
      idle.splice(0, fewestIdle);
      fewestIdle = idle.length;
    },
  };
}
