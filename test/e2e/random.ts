/** Printed by tests that use it; `SEED=<number>` runs them again alike. */
export const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** Mulberry32: uniform in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
