/** Small numbers in ascending order of a key, equal ones as they came. 16 octets each; all is O(1) where keys come in order. */
export interface Order {
  /** Looks for its place from the end. */
  add(member: number, key: number): void;
  delete(member: number): void;
  keyOf(member: number): number;
  /** -1: there is none. */
  readonly first: number;
  /** The one behind; -1: there is none. */
  after(member: number): number;
}

const NONE = -1;

export function createOrder(): Order {
  let capacity = 64;
  let keys = new Float64Array(capacity);
  let next = new Int32Array(capacity);
  let previous = new Int32Array(capacity);
  let first = NONE;
  let last = NONE;

  const keyOf = (member: number): number => keys[member] ?? 0;
  const at = (links: Int32Array, member: number): number => links[member] ?? NONE;
  const reach = (member: number): void => {
    if (member < capacity) return;
    capacity = Math.ceil(member * 1.25 + 1);
    keys = new Float64Array(keys.buffer.transfer(8 * capacity));
    next = new Int32Array(next.buffer.transfer(4 * capacity));
    previous = new Int32Array(previous.buffer.transfer(4 * capacity));
  };
  const link = (before: number, after: number): void => {
    if (before === NONE) first = after;
    else next[before] = after;
    if (after === NONE) last = before;
    else previous[after] = before;
  };
  return {
    add(member, key) {
      reach(member);
      keys[member] = key;
      let before = last;
      while (before !== NONE && keyOf(before) > key) before = at(previous, before);
      const after = before === NONE ? first : at(next, before);
      link(before, member);
      link(member, after);
    },
    delete: (member) => link(at(previous, member), at(next, member)),
    keyOf,
    get first() {
      return first;
    },
    after: (member) => at(next, member),
  };
}
