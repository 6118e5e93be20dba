/** Writes small rows of whole numbers and texts into one scratch buffer. What does not fit makes the row void. */
export interface OctetWriter {
  start(): void;
  /** 0 to 2^53 - 1, seven bits an octet. */
  number(value: number): void;
  /** A whole number of either sign. */
  signed(value: number): void;
  text(value: string): void;
  /** The row, until the next `start`; undefined: it is larger than the scratch. */
  end(): Buffer | undefined;
}

export interface OctetReader {
  open(octets: Buffer, start: number): void;
  number(): number;
  signed(): number;
  text(): string;
}

const LONGEST_NUMBER = 8;

export function createOctetWriter(capacity: number): OctetWriter {
  const octets = Buffer.alloc(capacity);
  let at = 0;
  const number = (value: number): void => {
    if (at + LONGEST_NUMBER > capacity) {
      at = Number.POSITIVE_INFINITY;
      return;
    }
    let left = value;
    for (; left > 0x7fffffff; left = Math.floor(left / 128)) octets[at++] = (left % 128) | 128;
    for (; left > 127; left >>>= 7) octets[at++] = (left & 127) | 128;
    octets[at++] = left;
  };
  return {
    start() {
      at = 0;
    },
    number,
    signed: (value) => number(value < 0 ? -2 * value - 1 : 2 * value),
    text(value) {
      const length = Buffer.byteLength(value);
      number(length);
      if (at + length <= capacity) octets.write(value, at);
      at += length;
    },
    end: () => (at <= capacity ? octets.subarray(0, at) : undefined),
  };
}

/** Reads what the writer wrote, in the same order. */
export function createOctetReader(): OctetReader {
  let octets: Buffer = Buffer.alloc(0);
  let at = 0;
  const number = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const octet = octets[at++] ?? 0;
      value += (octet & 127) * scale;
      if (octet < 128) return value;
      scale *= 128;
    }
  };
  return {
    open(from, start) {
      octets = from;
      at = start;
    },
    number,
    signed() {
      const value = number();
      return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
    },
    text() {
      const length = number();
      at += length;
      return octets.toString('utf8', at - length, at);
    },
  };
}
