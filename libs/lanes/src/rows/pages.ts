/**
 * Rows of octets, named by small numbers, packed one behind the other: a row costs its octets and ten more. Adding, reading and
 * deleting cost O(octets of a row), plus at times the copying of what is left of a page of which a quarter is waste: less than one page.
 */
export interface Pages {
  /** Copies the octets; a row of that name is replaced. At most `MAX_ROW_OCTETS`. */
  put(name: number, octets: Uint8Array): void;
  has(name: number): boolean;
  /** The page of the row and where in it the row starts, until the next change. The row must be there. */
  find(name: number): { readonly page: Buffer; readonly start: number };
  delete(name: number): void;
}

/** Octets of a page. */
const PAGE = 1 << 14;
export const MAX_ROW_OCTETS = PAGE >> 3;
/** Name and length in front of each row. */
const HEAD = 6;
const MAX_SPARES = 16;
/** A page of which less is in use is given up. */
const SPARSE = (3 * PAGE) >> 2;

interface Page {
  readonly octets: Buffer;
  end: number;
  used: number;
}

/** By name: page number * PAGE + offset; -1: no row. */
function createPlaces() {
  let places = new Uint32Array(64);
  return {
    of: (name: number): number => (places[name] ?? 0) - 1,
    set(name: number, place: number): void {
      if (name >= places.length) places = new Uint32Array(places.buffer.transfer(4 * Math.ceil(name * 1.25 + 1)));
      places[name] = place + 1;
    },
  };
}

const lengthAt = ({ octets }: Page, at: number): number => octets.readUInt16LE(at + 4);

/** Returns where in the page the row is. */
function append(page: Page, name: number, row: Uint8Array): number {
  if (row.length > MAX_ROW_OCTETS) throw new RangeError(`a row of ${row.length} octets`);
  const at = page.end;
  page.octets.writeUInt32LE(name, at);
  page.octets.writeUInt16LE(row.length, at + 4);
  page.octets.set(row, at + HEAD);
  page.end += HEAD + row.length;
  page.used += HEAD + row.length;
  return at;
}

export function createPages(): Pages {
  const pages: (Page | undefined)[] = [];
  const free: number[] = [];
  /** Of pages that were given up: used again rather than left to the garbage collection, which does not see their size. */
  const spares: Buffer[] = [];
  const places = createPlaces();
  let current = -1;

  const pageOf = (place: number): Page => {
    const page = pages[place >>> 14];
    if (place < 0 || page === undefined) throw new RangeError('no such row');
    return page;
  };
  const write = (name: number, row: Uint8Array): void => {
    let page = pages[current];
    if (page === undefined || page.end + HEAD + row.length > PAGE) {
      const full = current;
      page = { octets: spares.pop() ?? Buffer.allocUnsafeSlow(PAGE), end: 0, used: 0 };
      current = free.pop() ?? pages.length;
      pages[current] = page;
      giveUp(full);
    }
    places.set(name, current * PAGE + append(page, name, row));
  };
  /** Moves what is left of a page elsewhere once that is little. */
  const giveUp = (number: number): void => {
    const page = pages[number];
    if (page === undefined || number === current || page.used >= SPARSE) return;
    pages[number] = undefined;
    for (let at = 0; at < page.end; ) {
      const name = page.octets.readUInt32LE(at);
      const end = at + HEAD + lengthAt(page, at);
      if (places.of(name) === number * PAGE + at) write(name, page.octets.subarray(at + HEAD, end));
      at = end;
    }
    // Not before: a row that came to lie here again must not be taken for an old one.
    free.push(number);
    if (spares.length < MAX_SPARES) spares.push(page.octets);
  };
  const remove = (name: number): void => {
    const place = places.of(name);
    if (place < 0) return;
    const page = pageOf(place);
    places.set(name, -1);
    page.used -= HEAD + lengthAt(page, place % PAGE);
    giveUp(place >>> 14);
  };
  return {
    put(name, row) {
      remove(name);
      write(name, row);
    },
    has: (name) => places.of(name) >= 0,
    find(name) {
      const place = places.of(name);
      return { page: pageOf(place).octets, start: (place % PAGE) + HEAD };
    },
    delete: remove,
  };
}
