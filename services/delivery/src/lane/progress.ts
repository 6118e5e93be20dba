interface Mark {
  readonly offset: number;
  readonly atMs: number;
  /** Octets of values before it, counted from the first record that was read. */
  readonly octets: number;
}

/** Where in a lane a time or a distance lies, roughly: one mark a minute or a thousand records. */
export interface LaneProgress {
  note(record: { readonly offset: number; readonly appendedAtMs: number; readonly octets: number }): void;
  /** An offset below which every record is older than the instant. */
  offsetBefore(atMs: number): number;
  /** Octets of values from about this offset to the tail. */
  octetsSince(offset: number): number;
  /** Append time of the last record; 0: none was read. */
  readonly lastMs: number;
  /** Nothing below will be asked for. */
  forget(below: number): void;
}

const MARK_EVERY_MS = 60_000;
const MARK_EVERY_RECORDS = 1000;

export function createProgress(): LaneProgress {
  let marks: Mark[] = [];
  let octets = 0;
  let lastMs = 0;
  let end = 0;
  /** Index of the last mark for which `isBefore` holds; marks are in order. */
  const lastBefore = (isBefore: (mark: Mark) => boolean): Mark | undefined => {
    let [low, high] = [0, marks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const mark = marks[middle];
      if (mark !== undefined && isBefore(mark)) low = middle + 1;
      else high = middle;
    }
    return marks[low - 1];
  };
  return {
    note(record) {
      const last = marks.at(-1);
      if (last === undefined || record.appendedAtMs - last.atMs >= MARK_EVERY_MS || record.offset - last.offset >= MARK_EVERY_RECORDS)
        marks.push({ offset: record.offset, atMs: record.appendedAtMs, octets });
      octets += record.octets;
      lastMs = record.appendedAtMs;
      end = record.offset + 1;
    },
    get lastMs() {
      return lastMs;
    },
    offsetBefore: (atMs) => (lastMs < atMs ? end : (lastBefore((mark) => mark.atMs < atMs)?.offset ?? 0)),
    octetsSince: (offset) => octets - (lastBefore((mark) => mark.offset <= offset)?.octets ?? marks[0]?.octets ?? 0),
    forget(below) {
      const kept = lastBefore((mark) => mark.offset <= below);
      if (kept !== undefined) marks = marks.slice(marks.indexOf(kept));
    },
  };
}
