import type { LogRecord } from '../port.ts';
import { createWaiters, type Waiters } from '../waiters.ts';

const FIRST_CAPACITY = 16;

/** Where a record's value is. */
export interface Found {
  readonly segment: number;
  readonly position: number;
  readonly octets: number;
}

/** Consecutive records of one partition that lie in one segment. */
export interface Run {
  readonly first: number;
  readonly positions: Uint32Array;
  readonly octets: Uint32Array;
}

interface GrowingRun {
  readonly segment: number;
  readonly first: number;
  count: number;
  positions: Uint32Array;
  octets: Uint32Array;
}

function resize(run: GrowingRun, capacity: number): void {
  const moved = (old: Uint32Array): Uint32Array => {
    const fresh = new Uint32Array(capacity);
    fresh.set(old.subarray(0, run.count));
    return fresh;
  };
  run.positions = moved(run.positions);
  run.octets = moved(run.octets);
}

/** Durable records of one partition by offset: 8 octets each in typed arrays, given back a segment at a time. */
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
  /** Values of recent records in the order of their offsets, bounded by the log's cache. */
  readonly recent = new Map<number, LogRecord>();
  /** The oldest first; the first one may begin below the low mark. */
  #runs: GrowingRun[] = [];

  constructor(topic: number, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  /** Starts empty at an offset. */
  reset(at: number): void {
    this.low = at;
    this.high = at;
    this.next = at;
    this.#runs = [];
  }

  /** Takes the record at the high mark. */
  add({ segment, position, octets }: Found): void {
    const run = this.#runOf(segment);
    if (run.count === run.positions.length) resize(run, run.count * 2);
    run.positions[run.count] = position;
    run.octets[run.count] = octets;
    run.count++;
    this.high++;
  }

  /** Takes the records of a run from the high mark on; the run holds the one at the high mark. */
  addRun(segment: number, { first, positions, octets }: Run): void {
    const from = this.high - first;
    const count = positions.length - from;
    this.#runs.push({ segment, first: this.high, count, positions: positions.subarray(from), octets: octets.subarray(from) });
    this.high += count;
  }

  /** The records from the low mark on that lie in the segment; views that are valid until the next change. */
  runIn(segment: number): Run | undefined {
    const run = this.#runs.find((one) => one.segment === segment);
    if (run === undefined) return undefined;
    const from = Math.max(0, this.low - run.first);
    return { first: run.first + from, positions: run.positions.subarray(from, run.count), octets: run.octets.subarray(from, run.count) };
  }

  /** Undefined outside of low and high mark. */
  find(offset: number): Found | undefined {
    if (offset < this.low || offset >= this.high) return undefined;
    const run = this.#runs.findLast(({ first }) => first <= offset);
    if (run === undefined) return undefined;
    const at = offset - run.first;
    return { segment: run.segment, position: run.positions[at] ?? 0, octets: run.octets[at] ?? 0 };
  }

  /** Calls `give` with how many records of each segment go. */
  trim(below: number, give: (segment: number, records: number) => void): void {
    for (let run = this.#runs[0]; run && this.low < below; run = this.#runs[0]) {
      const end = run.first + run.count;
      const to = Math.min(below, end);
      give(run.segment, to - this.low);
      this.low = to;
      if (to === end) this.#runs.shift();
    }
    for (const offset of this.recent.keys()) {
      if (offset >= below) break;
      this.recent.delete(offset);
    }
  }

  /** The last run, when it lies in the segment; else a new one, and the last one grows no more. */
  #runOf(segment: number): GrowingRun {
    const last = this.#runs.at(-1);
    if (last?.segment === segment) return last;
    if (last && last.count < last.positions.length) resize(last, last.count);
    const run = {
      segment,
      first: this.high,
      count: 0,
      positions: new Uint32Array(FIRST_CAPACITY),
      octets: new Uint32Array(FIRST_CAPACITY),
    };
    this.#runs.push(run);
    return run;
  }
}
