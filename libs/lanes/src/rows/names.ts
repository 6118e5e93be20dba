/**
 * Numbers for texts that are held elsewhere: small ones, reused when a text goes. About 14 octets each; finding, adding and deleting
 * cost O(length), plus now and then O(size) where it grows.
 */
export interface Names {
  /** The number of a text; -1: it has none. */
  find(text: string): number;
  /** A number for a text that has none. */
  add(text: string): number;
  delete(number: number): void;
  readonly size: number;
}

const SMALLEST = 64;

/** Numbers by their hashes: open addressing, three fifths to three quarters full. */
function createCells(hashOf: (number: number) => number) {
  /** Number plus one, 0 is free. */
  let cells = new Uint32Array(2 * SMALLEST);
  const held = (cell: number): number => (cells[cell] ?? 0) - 1;
  const behind = (cell: number): number => (cell + 1 === cells.length ? 0 : cell + 1);
  /** The cell of the one that it is, or the free one where it would go. */
  const find = (hash: number, isIt: (number: number) => boolean): number => {
    let cell = hash % cells.length;
    while (held(cell) >= 0 && !(hashOf(held(cell)) === hash && isIt(held(cell)))) cell = behind(cell);
    return cell;
  };
  const put = (number: number): void => {
    cells[find(hashOf(number), () => false)] = number + 1;
  };
  return {
    find,
    held,
    put,
    makeRoom(size: number): void {
      if (size < 0.75 * cells.length) return;
      const old = cells;
      cells = new Uint32Array(Math.ceil(1.25 * old.length));
      for (const number of old) if (number > 0) put(number - 1);
    },
    /** Closes the gap: whoever was pushed past the cell comes back. */
    clear(emptied: number): void {
      const distance = (from: number, to: number) => (to >= from ? to - from : to - from + cells.length);
      let gap = emptied;
      for (let cell = behind(gap); held(cell) >= 0; cell = behind(cell)) {
        if (distance(hashOf(held(cell)) % cells.length, cell) < distance(gap, cell)) continue;
        cells[gap] = held(cell) + 1;
        gap = cell;
      }
      cells[gap] = 0;
    },
  };
}

/** `textOf`: the text of a number, asked when hashes are equal. */
export function createNames(hashText: (text: string) => number, textOf: (number: number) => string): Names {
  let hashes = new Uint32Array(SMALLEST);
  const cells = createCells((number) => hashes[number] ?? 0);
  const free: number[] = [];
  let size = 0;
  let end = 0;
  return {
    find: (text) => cells.held(cells.find(hashText(text), (number) => textOf(number) === text)),
    add(text) {
      const number = free.pop() ?? end++;
      if (number === hashes.length) hashes = new Uint32Array(hashes.buffer.transfer(4 * Math.ceil(number * 1.25)));
      hashes[number] = hashText(text);
      cells.makeRoom(++size);
      cells.put(number);
      return number;
    },
    delete(number) {
      cells.clear(cells.find(hashes[number] ?? 0, (other) => other === number));
      free.push(number);
      size--;
    },
    get size() {
      return size;
    },
  };
}
