/** A command line without its end, octets as latin1; or what came instead of one. */
export type Line = { readonly is: 'line'; readonly text: string } | { readonly is: 'tooLong' } | { readonly is: 'bareLf' };

export interface LineSplitter {
  push(chunk: Buffer): void;
  /**
   * The next whole line of at most `maxOctets`, its CRLF included; `undefined` until one has arrived. The octets of a
   * longer line are dropped as they come. A line that ends in LF alone is told apart and not to be obeyed.
   */
  next(maxOctets: number): Line | undefined;
  /** Forgets everything, half lines included. */
  clear(): void;
  readonly bufferedOctets: number;
}

const LF = 10;
const CR = 13;

export function createLineSplitter(): LineSplitter {
  let buffer: Buffer = Buffer.alloc(0);
  let isDropping = false;
  return {
    push: (chunk) => {
      buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk]);
    },
    next: (maxOctets) => {
      const end = buffer.indexOf(LF);
      if (end < 0) {
        if (buffer.length >= maxOctets || isDropping) {
          isDropping = true;
          buffer = Buffer.alloc(0);
        }
        return undefined;
      }
      const line = buffer.subarray(0, end);
      buffer = buffer.subarray(end + 1);
      const isTooLong = isDropping || end + 1 > maxOctets;
      isDropping = false;
      if (isTooLong) return { is: 'tooLong' };
      if (line.at(-1) !== CR) return { is: 'bareLf' };
      return { is: 'line', text: line.toString('latin1', 0, end - 1) };
    },
    clear: () => {
      buffer = Buffer.alloc(0);
      isDropping = false;
    },
    get bufferedOctets() {
      return buffer.length;
    },
  };
}
