import type { Sql } from './sql.ts';

/** Holds of a database that one process has open. */
export function createHolds(): Sql<never>['hold'] {
  const held = new Set<string>();
  return async (name) => {
    if (held.has(name)) return undefined;
    held.add(name);
    let release = () => {
      held.delete(name);
      release = () => {};
    };
    return { release: async () => release() };
  };
}
