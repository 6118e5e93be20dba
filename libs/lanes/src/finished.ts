import type { RecipientOutcome } from '@angarium/records';
import type { Floors } from './floors.ts';
import { hashText, mix } from './hash.ts';

export interface FinishedEntry {
  readonly result: RecipientOutcome['result'];
  /** Hash of the attempt id of the fact that won. */
  readonly attempt: number;
  /** Record from which on a reader knows that it is finished. */
  readonly needed: number;
}

export interface FinishedFact extends FinishedEntry {
  readonly queueId: string;
  readonly address: string;
  readonly atMs: number;
  /** Index of its source's partition in the floors; -1 without a source. */
  readonly partition: number;
  readonly srcOffset: number;
  /** Made by us from another message's outcome: its source changes with every repeat, so no floor protects against it. */
  readonly derived: boolean;
}

export interface MentionedRecipient {
  readonly queueId: string;
  readonly address: string;
  readonly atMs: number;
  /** Another source of the same recipient: it may be redelivered too. */
  readonly partition?: number;
  readonly srcOffset?: number;
}

/**
 * Finished recipients that could still be mentioned: for `keptMs` of append time, while routing may redeliver their
 * source, and derived ones as long as the history is kept.
 *
 * A recipient is known by 64 bits of hash and costs about 100 octets; a false match has odds of 1 to 10^13 per lookup at
 * a million entries.
 */
export interface FinishedRecipients {
  add(fact: FinishedFact): void;
  /** Looks up who is mentioned by a record of this append time; from then on it is kept for another `keptMs`. */
  mentioned(recipient: MentionedRecipient): FinishedEntry | undefined;
  /** Oldest record needed to know all that must not be forgotten. Cost: one pass over all entries. */
  oldestNeeded(nowMs: number): number;
  /** The history now starts here: derived ones that finished in what is gone are forgotten. */
  historyStarts(low: number): void;
  readonly size: number;
}

const SMALLEST = 64;
const DERIVED = 0x80;

function createColumns(capacity: number) {
  return {
    capacity,
    hashA: new Uint32Array(capacity),
    hashB: new Uint32Array(capacity),
    needed: new Float64Array(capacity),
    atMs: new Float64Array(capacity),
    srcOffset: new Float64Array(capacity),
    partition: new Int32Array(capacity),
    attempt: new Uint32Array(capacity),
    result: new Uint8Array(capacity),
    /** Open addressing; entry index plus one, 0 is free. Half empty. */
    slots: new Uint32Array(capacity * 2),
  };
}

type Columns = ReturnType<typeof createColumns>;
type Column = Exclude<keyof Columns, 'capacity' | 'slots'>;
const COLUMNS: readonly Column[] = ['hashA', 'hashB', 'needed', 'atMs', 'srcOffset', 'partition', 'attempt', 'result'];

const at = (column: ArrayLike<number>, index: number): number => column[index] ?? 0;

function slotOf(columns: Columns, hashA: number, hashB: number): number {
  const mask = columns.slots.length - 1;
  let slot = hashB & mask;
  for (let entry = at(columns.slots, slot); entry !== 0; entry = at(columns.slots, slot)) {
    if (at(columns.hashA, entry - 1) === hashA && at(columns.hashB, entry - 1) === hashB) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

const hashes = (queueId: string, address: string) => {
  const hashA = hashText(address, hashText(queueId));
  return [hashA, mix(hashText(queueId, 0x9e3779b9) ^ hashText(address, hashA))] as const;
};

function write(columns: Columns, index: number, fact: FinishedFact): void {
  columns.needed[index] = fact.needed;
  columns.atMs[index] = fact.atMs;
  columns.srcOffset[index] = fact.srcOffset;
  columns.partition[index] = fact.partition;
  columns.attempt[index] = fact.attempt;
  columns.result[index] = fact.result | (fact.derived ? DERIVED : 0);
}

/** The chosen entries in columns that they fill by half to two thirds. */
function copyKept(columns: Columns, kept: readonly number[]): Columns {
  const next = createColumns(Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(kept.length * 1.5 + 1))));
  for (const [to, from] of kept.entries()) {
    for (const name of COLUMNS) next[name][to] = at(columns[name], from);
    next.slots[slotOf(next, at(next.hashA, to), at(next.hashB, to))] = to + 1;
  }
  return next;
}

export function createFinishedRecipients(options: { keptMs: number; floors: Floors }): FinishedRecipients {
  let columns = createColumns(SMALLEST);
  let size = 0;
  let historyStart = 0;

  const isSettled = (index: number): boolean => {
    const partition = at(columns.partition, index);
    return partition < 0 || options.floors.isSettled(partition, at(columns.srcOffset, index));
  };
  const mustKeep = (index: number, nowMs: number): boolean => at(columns.atMs, index) + options.keptMs > nowMs || !isSettled(index);
  const isKept = (index: number, nowMs: number): boolean =>
    mustKeep(index, nowMs) || ((at(columns.result, index) & DERIVED) !== 0 && at(columns.needed, index) >= historyStart);

  const rebuild = (nowMs: number): void => {
    const kept: number[] = [];
    for (let index = 0; index < size; index++) if (isKept(index, nowMs)) kept.push(index);
    columns = copyKept(columns, kept);
    size = kept.length;
  };

  return {
    add(fact) {
      if (size === columns.capacity) rebuild(fact.atMs);
      const [hashA, hashB] = hashes(fact.queueId, fact.address);
      const slot = slotOf(columns, hashA, hashB);
      const known = at(columns.slots, slot);
      const index = known === 0 ? size++ : known - 1;
      columns.slots[slot] = index + 1;
      columns.hashA[index] = hashA;
      columns.hashB[index] = hashB;
      write(columns, index, fact);
    },
    mentioned({ queueId, address, atMs, partition = -1, srcOffset = 0 }) {
      const index = at(columns.slots, slotOf(columns, ...hashes(queueId, address))) - 1;
      if (index < 0 || !isKept(index, atMs)) return undefined;
      columns.atMs[index] = atMs;
      if (partition >= 0 && isSettled(index)) {
        columns.partition[index] = partition;
        columns.srcOffset[index] = srcOffset;
      }
      const result = (at(columns.result, index) & ~DERIVED) as FinishedEntry['result'];
      return { result, attempt: at(columns.attempt, index), needed: at(columns.needed, index) };
    },
    oldestNeeded(nowMs) {
      let oldest = Number.POSITIVE_INFINITY;
      for (let index = 0; index < size; index++) {
        if (at(columns.needed, index) < oldest && mustKeep(index, nowMs)) oldest = at(columns.needed, index);
      }
      return oldest;
    },
    historyStarts(low) {
      historyStart = Math.max(historyStart, low);
    },
    get size() {
      return size;
    },
  };
}
