/**
 * Where the low mark must not fall: between a record and a later one whose effect depended on it. A reader that started
 * there would take the later record at its word and revive or forget what everybody else knows better.
 */
export interface Spans {
  /** Forbids starts above `first`, up to and including `last`. `last` never decreases from call to call. */
  forbid(first: number, last: number): void;
  /** Highest start at or below `offset` that is not forbidden. */
  allowed(offset: number): number;
  /** Spans that end below `low` cannot matter any more. */
  forget(low: number): void;
}

interface Span {
  first: number;
  readonly last: number;
}

export function createSpans(): Spans {
  // Sorted and disjoint: a new span ends last, so it can only swallow the ones at the end.
  let spans: Span[] = [];
  return {
    forbid(first, last) {
      let start = first;
      for (let top = spans.at(-1); top !== undefined && top.last >= start; top = spans.at(-1)) {
        start = Math.min(start, top.first);
        spans.pop();
      }
      if (start < last) spans.push({ first: start, last });
    },
    allowed(offset) {
      const span = spans.find(({ first, last }) => first < offset && offset <= last);
      return span?.first ?? offset;
    },
    forget(low) {
      if (spans[0] !== undefined && spans[0].last < low) spans = spans.filter(({ last }) => last >= low);
    },
  };
}
