/** What a batch tells: everything below `committed` was appended to the partition at or before `appendedAtMs`. */
interface Mark {
  readonly appendedAtMs: number;
  readonly committed: number;
}

/** Marks kept per lag: the floor is at most lag / MARKS further behind than it must be. */
const MARKS = 32;

export interface Floor {
  /** `committed` is an acknowledged commit, `appendedAtMs` the append time of the first record behind it. */
  note(appendedAtMs: number, committed: number): void;
  /** Floor for a record of this append time; 0 where nothing old enough is known. */
  at(appendedAtMs: number): number;
}

/**
 * Duplicate floor of one partition (design §4 rule 1): an acknowledged commit that lies `lagMs` of append time behind the record
 * it is stamped on, so that a second copy of a record that lands within the lag is still known by its id.
 */
export function createFloor(lagMs: number): Floor {
  const marks: Mark[] = [];
  return {
    note: (appendedAtMs, committed) => {
      const last = marks.at(-1);
      if (last && (committed <= last.committed || appendedAtMs < last.appendedAtMs + lagMs / MARKS)) return;
      marks.push({ appendedAtMs, committed });
      while (marks[1] !== undefined && marks[1].appendedAtMs <= appendedAtMs - lagMs) marks.shift();
    },
    at: (appendedAtMs) => marks.findLast((mark) => mark.appendedAtMs <= appendedAtMs - lagMs)?.committed ?? 0,
  };
}
