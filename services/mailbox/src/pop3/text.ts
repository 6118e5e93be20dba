const CR = 13;
const LF = 10;
const DOT = 46;
const END_AND_DOT = Buffer.from('\r\n.');
/** Most octets handed to a socket at once. */
const SLICE_OCTETS = 64 * 1024;

/** Cuts into slices and doubles each dot that begins a line (RFC 1939 §3). A slice without one is not copied. */
export async function* dotStuffed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // The last two octets that went out; a message begins at the beginning of a line.
  let before = CR;
  let last = LF;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += SLICE_OCTETS) {
      const slice = chunk.subarray(at, at + SLICE_OCTETS);
      yield stuff(Buffer.from(slice.buffer, slice.byteOffset, slice.length), before, last);
      before = slice.at(-2) ?? last;
      last = slice.at(-1) ?? last;
    }
  }
}

function stuff(slice: Buffer, before: number, last: number): Uint8Array {
  const dots: number[] = [];
  if (slice[0] === DOT && before === CR && last === LF) dots.push(0);
  if (slice[0] === LF && slice[1] === DOT && last === CR) dots.push(1);
  for (let at = slice.indexOf(END_AND_DOT); at >= 0; at = slice.indexOf(END_AND_DOT, at + 2)) dots.push(at + 2);
  if (dots.length === 0) return slice;
  const stuffed = Buffer.allocUnsafe(slice.length + dots.length);
  let from = 0;
  let to = 0;
  for (const dot of [...dots, slice.length]) {
    to += slice.copy(stuffed, to, from, dot);
    if (dot < slice.length) stuffed[to++] = DOT;
    from = dot;
  }
  return stuffed;
}

/** The header section with its blank line and the first lines of the body; all of the message when it has no more. */
export async function* topOf(chunks: AsyncIterable<Uint8Array>, bodyLines: number): AsyncGenerator<Uint8Array> {
  const cut = createCut(bodyLines);
  for await (const chunk of chunks) {
    const end = cut(chunk);
    yield end === undefined ? chunk : chunk.subarray(0, end);
    if (end !== undefined) return;
  }
}

/** Takes a message chunk by chunk; gives the position behind the last line wanted once it has come. */
function createCut(bodyLines: number): (chunk: Uint8Array) => number | undefined {
  let isBody = false;
  let linesLeft = bodyLines;
  let lineOctets = 0;
  let last = 0;
  return (chunk) => {
    let at = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, at)) {
      lineOctets += end + 1 - at;
      at = end + 1;
      if ((end > 0 ? chunk[end - 1] : last) !== CR) continue;
      if (isBody) linesLeft -= 1;
      else isBody = lineOctets === 2;
      lineOctets = 0;
      if (isBody && linesLeft <= 0) return at;
    }
    lineOctets += chunk.length - at;
    last = chunk.at(-1) ?? last;
    return undefined;
  };
}
