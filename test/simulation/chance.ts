/** Random choices that a seed repeats. */
export interface Chance {
  /** Uniform in [0, 1). */
  next(): number;
  /** True with this probability. */
  hits(probability: number): boolean;
  /** Whole number from `from` to `to`, both inclusive. */
  between(from: number, to: number): number;
  pick<T>(values: readonly T[]): T;
  /** A source of its own, so that one part's draws do not shift another's. */
  fork(): Chance;
}

/** Mulberry32. */
export function createChance(seed: number): Chance {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (from: number, to: number) => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    hits: (probability) => next() < probability,
    between,
    pick<T>(values: readonly T[]): T {
      const value = values[between(0, values.length - 1)];
      if (value === undefined) throw new RangeError('nothing to pick from');
      return value;
    },
    fork: () => createChance(between(0, 2 ** 32 - 1)),
  };
}
