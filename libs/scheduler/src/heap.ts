/** Where the members of a heap remember their places in it, so that they can leave from the middle. */
export interface Places<T> {
  /** -1: in no heap. */
  of(member: T): number;
  set(member: T, at: number): void;
}

/** Binary heap of members of one heap at a time. Adding and taking out cost O(log n), looking at the first O(1). */
export interface Heap<T> {
  readonly size: number;
  first(): T | undefined;
  add(member: T): void;
  /** No-op for a member that is not in it. */
  remove(member: T): void;
  /** In no order. */
  members(): Iterable<T>;
}

export function createHeap<T>(before: (a: T, b: T) => boolean, places: Places<T>): Heap<T> {
  const members: T[] = [];
  const put = (member: T, at: number) => {
    members[at] = member;
    places.set(member, at);
  };
  const rise = (member: T, from: number) => {
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const other = members[above];
      if (other === undefined || !before(member, other)) break;
      put(other, at);
      at = above;
    }
    put(member, at);
  };
  const sink = (member: T, from: number) => {
    let at = from;
    for (;;) {
      const left = 2 * at + 1;
      const right = members[left + 1];
      const isRight = right !== undefined && before(right, members[left] as T);
      const other = isRight ? right : members[left];
      if (other === undefined || !before(other, member)) break;
      put(other, at);
      at = isRight ? left + 1 : left;
    }
    put(member, at);
  };
  return {
    get size() {
      return members.length;
    },
    first: () => members[0],
    add: (member) => rise(member, members.length),
    remove(member) {
      const at = places.of(member);
      if (members[at] !== member) return;
      places.set(member, -1);
      const last = members.pop();
      if (last === undefined || last === member) return;
      const above = members[(at - 1) >> 1];
      if (at > 0 && above !== undefined && before(last, above)) rise(last, at);
      else sink(last, at);
    },
    members: () => members.values(),
  };
}
