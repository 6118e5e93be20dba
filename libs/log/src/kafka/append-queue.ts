import type { AppendFailed } from '../port.ts';
import { RECORD_OVERHEAD_OCTETS } from './record-batch.ts';

export const BATCH_MAX_RECORDS = 400;
export const BATCH_MAX_OCTETS = 900 * 1024;

/** One append that is not over. */
export interface Append {
  readonly values: readonly Uint8Array[];
  readonly octets: number;
  readonly sinceMs: number;
  /** A call that held it ended without an answer, or with one that leaves it open. */
  mayBeWritten: boolean;
  isSettled: boolean;
  readonly resolve: (offset: number) => void;
  readonly reject: (error: AppendFailed) => void;
}

export const octetsOf = (values: readonly Uint8Array[]): number =>
  values.reduce((sum, { length }) => sum + length + RECORD_OVERHEAD_OCTETS, 0);

/** Appends to one partition in their order, at most one call on its way. */
export class AppendQueue {
  readonly topic: string;
  readonly partition: number;
  /** No call before this instant. */
  notBeforeMs = 0;
  /** What is on its way. */
  sending: readonly Append[] = [];
  #waiting: Append[] = [];
  records = 0;
  octets = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  get isIdle(): boolean {
    return this.sending.length === 0 && this.#waiting.length === 0;
  }

  all(): readonly Append[] {
    return [...this.sending, ...this.#waiting];
  }

  add(append: Append): void {
    this.#waiting.push(append);
    this.#count(append, 1);
  }

  /** The next batch is on its way: first come, first served, and no append is split. */
  take(): readonly Append[] {
    let [records, octets, count] = [0, 0, 0];
    for (const { values, octets: size } of this.#waiting) {
      records += values.length;
      octets += size;
      if (count > 0 && (records > BATCH_MAX_RECORDS || octets > BATCH_MAX_OCTETS)) break;
      count++;
    }
    this.sending = this.#waiting.splice(0, count);
    for (const append of this.sending) this.#count(append, -1);
    return this.sending;
  }

  /** The call is over: what is not settled goes first again. */
  putBack(): void {
    const left = this.sending.filter(({ isSettled }) => !isSettled);
    this.sending = [];
    if (left.length > 0) this.#waiting = [...left, ...this.#waiting];
    for (const append of left) this.#count(append, 1);
  }

  /** Forgets what was settled while it waited. */
  forgetSettled(): void {
    if (!this.#waiting.some(({ isSettled }) => isSettled)) return;
    for (const append of this.#waiting) if (append.isSettled) this.#count(append, -1);
    this.#waiting = this.#waiting.filter(({ isSettled }) => !isSettled);
  }

  #count({ values, octets }: Append, sign: 1 | -1): void {
    this.records += sign * values.length;
    this.octets += sign * octets;
  }
}

/** Runs of values that each fit a batch. */
export function pieces(values: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  if (octetsOf(values) <= BATCH_MAX_OCTETS) return [values];
  const found: Uint8Array[][] = [];
  let octets = BATCH_MAX_OCTETS;
  for (const value of values) {
    octets += value.length + RECORD_OVERHEAD_OCTETS;
    if (octets > BATCH_MAX_OCTETS) {
      found.push([]);
      octets = value.length + RECORD_OVERHEAD_OCTETS;
    }
    found.at(-1)?.push(value);
  }
  return found;
}
