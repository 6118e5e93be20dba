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

/** Consecutive records of one partition that lie in one segment. */
export interface Run {
  readonly first: number;
  readonly positions: Uint32Array;
  readonly octets: Uint32Array;
  readonly appendedAtMs: Float64Array;
}

/**
 * Durable records of one partition by offset: 24 octets each in typed arrays, from the low mark on.
 */
export class PartitionIndex {
  /** Number of the topic in the format. */
  readonly topic: number;
  readonly partition: number;
  low = 0;
  /** Offset of the next durable record. */
  high = 0;
  /** Offset that the next append gets: records that are being written lie between. */
  next = 0;
  /** Youngest instant given to a record, also to one that did not get durable. */
  lastAppendedAtMs = 0;
  readonly waiters: Waiters = createWaiters();
  /** Values of recent records, bounded by the log's cache. */
  readonly recent = new Map<number, LogRecord>();
  #base = 0;
  #segments = new Float64Array(FIRST_CAPACITY);
  #positions = new Uint32Array(FIRST_CAPACITY);
  #octets = new Uint32Array(FIRST_CAPACITY);
  #appendedAtMs = new Float64Array(FIRST_CAPACITY);

  constructor(topic: number, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  /** Starts empty at an offset. */
  reset(at: number): void {
    this.low = at;
    this.high = at;
    this.next = at;
    this.#base = at;
  }

  /** Takes the record at the high mark. */
  add(found: Found): void {
    this.#makeRoom(1);
    const slot = this.high - this.#base;
    this.#segments[slot] = found.segment;
    this.#positions[slot] = found.position;
    this.#octets[slot] = found.octets;
    this.#appendedAtMs[slot] = found.appendedAtMs;
    this.high++;
    this.lastAppendedAtMs = Math.max(this.lastAppendedAtMs, found.appendedAtMs);
  }

  /** Takes the records of a run from the high mark on; the run holds the one at the high mark. */
  addRun(segment: number, run: Run): void {
    const from = this.high - run.first;
    const count = run.positions.length - from;
    this.#makeRoom(count);
    const slot = this.high - this.#base;
    this.#segments.fill(segment, slot, slot + count);
    this.#positions.set(run.positions.subarray(from), slot);
    this.#octets.set(run.octets.subarray(from), slot);
    this.#appendedAtMs.set(run.appendedAtMs.subarray(from), slot);
    this.high += count;
    this.lastAppendedAtMs = Math.max(this.lastAppendedAtMs, run.appendedAtMs.at(-1) ?? 0);
  }

  /** The records from the low mark on that lie in the segment; views that are valid until the next change. */
  runIn(segment: number): Run | undefined {
    const from = this.#firstSlotAtOrAbove(segment);
    const to = this.#firstSlotAtOrAbove(segment + 1);
    if (from === to) return undefined;
    return {
      first: this.#base + from,
      positions: this.#positions.subarray(from, to),
      octets: this.#octets.subarray(from, to),
      appendedAtMs: this.#appendedAtMs.subarray(from, to),
    };
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
    const kept = this.high - this.low;
    if (this.#positions.length > FIRST_CAPACITY && kept * 8 < this.#positions.length) this.#move(kept * 2);
  }

  /** Records of later segments lie behind those of earlier ones. */
  #firstSlotAtOrAbove(segment: number): number {
    let from = this.low - this.#base;
    let to = this.high - this.#base;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#segments[middle] ?? 0) < segment) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  #makeRoom(count: number): void {
    const used = this.high - this.#base;
    if (used + count > this.#positions.length) this.#move((this.high - this.low + count) * 2);
  }

  /** Into arrays of another size; what lies below the low mark goes. */
  #move(capacity: number): void {
    const kept = this.high - this.low;
    const from = this.low - this.#base;
    const size = Math.max(FIRST_CAPACITY, capacity);
    const moved = <T extends Float64Array | Uint32Array>(old: T, fresh: T): T => {
      fresh.set(old.subarray(from, from + kept));
      return fresh;
    };
    this.#segments = moved(this.#segments, new Float64Array(size));
    this.#positions = moved(this.#positions, new Uint32Array(size));
    this.#octets = moved(this.#octets, new Uint32Array(size));
    this.#appendedAtMs = moved(this.#appendedAtMs, new Float64Array(size));
    this.#base = this.low;
  }
}
