type Column =
  | Uint8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/**
 * The column with a place for `index`: itself, or one that is longer by a quarter and takes over its values; the one before is void
 * then. New places are 0. A million numbers in a typed array are one object, which no garbage collection looks into.
 */
export function reach<C extends Column>(column: C, index: number): C {
  if (index < column.length) return column;
  const octets = Math.ceil(index * 1.25 + 16) * column.BYTES_PER_ELEMENT;
  const Kind = column.constructor as new (buffer: ArrayBuffer) => C;
  return new Kind(column.buffer.transfer(octets));
}
