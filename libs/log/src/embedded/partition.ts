import type { LogRecord } from '../port.ts';
import { createWaiters, type Waiters } from '../waiters.ts';

const FIRST_CAPACITY = 64;

/** Where a record's value is. */
export interface Found {
  readonly segment: number;
  readonly position: number;
  readonly octets: number;
  readonly appendedAtMs: number;
}

/**
 * Durable records of one partition by offset: 28 octets each in typed arrays, from the low mark on.
 */
export class PartitionIndex {
  low = 0;
  /** Offset of the next durable record. */
  high = 0;
  /** Offset that the next append gets: records that are being written lie between. */
  next = 0;
  lastAppendedAtMs = 0;
  readonly waiters: Waiters = createWaiters();
  /** Values of recent records, bounded by the log's cache. */
  readonly recent = new Map<number, LogRecord>();
  #base = 0;
  #segments = new Float64Array(FIRST_CAPACITY);
  #positions = new Uint32Array(FIRST_CAPACITY);
  #octets = new Uint32Array(FIRST_CAPACITY);
  #appendedAtMs = new Float64Array(FIRST_CAPACITY);

  /** Starts empty at an offset. */
  reset(low: number, high: number): void {
    this.low = low;
    this.high = high;
    this.next = high;
    this.#base = low;
  }

  /** Takes the record at the high mark. */
  add(found: Found): void {
    const at = this.high - this.#base;
    if (at === this.#positions.length) this.#grow();
    const slot = this.high - this.#base;
    this.#segments[slot] = found.segment;
    this.#positions[slot] = found.position;
    this.#octets[slot] = found.octets;
    this.#appendedAtMs[slot] = found.appendedAtMs;
    this.high++;
    this.lastAppendedAtMs = Math.max(this.lastAppendedAtMs, found.appendedAtMs);
  }

  /** Undefined outside of low and high mark. */
  find(offset: number): Found | undefined {
    if (offset < this.low || offset >= this.high) return undefined;
    const at = offset - this.#base;
    return {
      segment: this.#segments[at] ?? 0,
      position: this.#positions[at] ?? 0,
      octets: this.#octets[at] ?? 0,
      appendedAtMs: this.#appendedAtMs[at] ?? 0,
    };
  }

  /** Calls `give` with the segment of each record that goes. */
  trim(below: number, give: (segment: number) => void): void {
    for (; this.low < below; this.low++) {
      give(this.#segments[this.low - this.#base] ?? 0);
      this.recent.delete(this.low);
    }
  }

  /** Room for more: what lies below the low mark goes first, then the arrays double. */
  #grow(): void {
    const kept = this.high - this.low;
    const from = this.low - this.#base;
    const capacity = Math.max(FIRST_CAPACITY, kept * 2);
    const moved = <T extends Float64Array | Uint32Array>(old: T, fresh: T): T => {
      fresh.set(old.subarray(from, from + kept));
      return fresh;
    };
    this.#segments = moved(this.#segments, new Float64Array(capacity));
    this.#positions = moved(this.#positions, new Uint32Array(capacity));
    this.#octets = moved(this.#octets, new Uint32Array(capacity));
    this.#appendedAtMs = moved(this.#appendedAtMs, new Float64Array(capacity));
    this.#base = this.low;
  }
}
