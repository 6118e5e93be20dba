interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
}

export interface GroupCommit<Item, Result> {
  /** Resolves with the item's result once the commit that took it is done. */
  add(item: Item): Promise<Result>;
  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void>;
}

export interface GroupCommitOptions<Item, Result> {
  /** Results in the order of the items. */
  readonly commit: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** A group takes items until the next one would exceed this; a larger item goes alone. */
  readonly maxWeight: number;
  readonly weightOf: (item: Item) => number;
  /** True for an error that every item of the group would meet: the disk's, not an item's. */
  readonly isEverybodys: (reason: unknown) => boolean;
}

/**
 * Commits together what arrived during the commit before: one synchronous write for many items, without a timer. When a
 * group fails for a reason that may be one item's, its items are tried one by one, so that one cannot stop the others.
 *
 * Does not bound what waits: the caller does.
 */
export function createGroupCommit<Item, Result>(options: GroupCommitOptions<Item, Result>): GroupCommit<Item, Result> {
  let waiting: Waiting<Item, Result>[] = [];
  let running: Promise<void> | undefined;

  const commitGroup = async (group: readonly Waiting<Item, Result>[]): Promise<void> => {
    try {
      const results = await options.commit(group.map(({ item }) => item));
      group.forEach(({ resolve }, index) => void resolve(results[index] as Result));
    } catch (reason) {
      if (group.length === 1 || options.isEverybodys(reason)) {
        for (const { reject } of group) reject(reason);
        return;
      }
      for (const one of group) await commitGroup([one]);
    }
  };
  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      let weight = 0;
      const end = waiting.findIndex(({ item }, index) => {
        weight += options.weightOf(item);
        return index > 0 && weight > options.maxWeight;
      });
      const group = end < 0 ? waiting : waiting.slice(0, end);
      waiting = end < 0 ? [] : waiting.slice(end);
      await commitGroup(group);
    }
    running = undefined;
  };
  return {
    add: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject });
        // Starts in a later microtask: what is added in the same turn shares the first commit.
        running ??= Promise.resolve().then(run);
      }),
    idle: async () => {
      while (running !== undefined) await running;
    },
  };
}
