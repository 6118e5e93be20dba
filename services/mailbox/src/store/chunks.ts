const LARGEST = 128;

/**
 * Cuts rows into chunks of 128, 64, 32 and so on, for statements that take many rows. A statement's text depends on their
 * number: with few sizes the database's cache of prepared statements stays small, and no statement binds too many values.
 */
export function* chunksOf<T>(rows: readonly T[]): Generator<readonly T[]> {
  let size = LARGEST;
  for (let at = 0; at < rows.length; at += size) {
    while (size > rows.length - at) size /= 2;
    yield rows.slice(at, at + size);
  }
}
