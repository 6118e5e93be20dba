import type { Segment } from './segments.ts';

/** Zeros ahead of the batches of a segment, so that a batch changes its own blocks and nothing else: no length, no allocation. */
export interface Clearing {
  /** A batch was written: starts to clear further when little is left in front of it. */
  follow(segment: Segment): void;
  /** Resolves when the zeros that are being written where a batch up to `end` would lie are written; undefined: there are none. */
  pending(segment: Segment, end: number): Promise<void> | undefined;
}

export interface ClearingOptions {
  /** Octets cleared at once; 0: never. */
  readonly clearOctets: number;
  /** Nothing is cleared beyond. */
  readonly segmentOctets: number;
  /** Zeros could not be written; that segment gets no more of them. */
  readonly onFault: (error: unknown, segment: Segment) => void;
}

/** A page that holds a batch is not written again: were that to fail, what was promised would be lost. */
const PAGE_OCTETS = 4096;

/**
 * Clears ahead of the newest segment, one piece at a time. A synchronous write into cleared blocks takes 0.13 ms where one that
 * makes the file longer takes 0.22 ms; it costs a second write of every octet, in large pieces and beside the batches. What
 * is cleared and never used reads as no batch.
 */
export function createClearing({ clearOctets, segmentOctets, onFault }: ClearingOptions): Clearing {
  let segment: Segment | undefined;
  let clearedTo = 0;
  let running: { readonly segment: Segment; readonly from: number; readonly ended: Promise<void> } | undefined;

  const clear = async (where: Segment, from: number, octets: number): Promise<void> => {
    try {
      await where.file.clear(from, octets);
    } catch (error) {
      clearedTo = Number.POSITIVE_INFINITY;
      onFault(error, where);
    } finally {
      running = undefined;
    }
  };
  return {
    follow(newest) {
      if (running !== undefined || clearOctets === 0) return;
      if (newest !== segment) clearedTo = 0;
      segment = newest;
      const from = Math.max(clearedTo, Math.ceil(newest.octets / PAGE_OCTETS) * PAGE_OCTETS);
      if (from - newest.octets > clearOctets / 2 || from >= segmentOctets) return;
      const octets = Math.min(clearOctets, segmentOctets - from);
      clearedTo = from + octets;
      running = { segment: newest, from, ended: clear(newest, from, octets) };
    },
    pending: (where, end) => (running?.segment === where && end > running.from ? running.ended : undefined),
  };
}
