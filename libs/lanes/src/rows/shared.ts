/** Values that many rows name by a small number; each is kept as long as a row names it. */
export interface Shared {
  /** The number of a value, the same object or text; named once more. */
  hold(value: object | string): number;
  value(number: number): object | string;
  /** Named once less. */
  release(number: number): void;
  readonly size: number;
}

export function createShared(): Shared {
  const numbers = new Map<object | string, number>();
  const values: (object | string | undefined)[] = [];
  const held: number[] = [];
  const free: number[] = [];
  return {
    hold(value) {
      let number = numbers.get(value);
      if (number === undefined) {
        number = free.pop() ?? values.length;
        numbers.set(value, number);
        values[number] = value;
        held[number] = 0;
      }
      held[number] = (held[number] ?? 0) + 1;
      return number;
    },
    value(number) {
      const value = values[number];
      if (value === undefined) throw new RangeError(`nothing is shared under ${number}`);
      return value;
    },
    release(number) {
      const value = values[number];
      const left = (held[number] ?? 0) - 1;
      held[number] = left;
      if (left > 0 || value === undefined) return;
      numbers.delete(value);
      values[number] = undefined;
      free.push(number);
    },
    get size() {
      return numbers.size;
    },
  };
}
