/** Octets written at once: one TCP send of RFC 5321 §4.5.3.2.5, whose progress is watched. */
export const BLOCK_OCTETS = 65_536;

const DOT = 0x2e;
const LF = 0x0a;
const CR = 0x0d;
const CRLF = Buffer.from('\r\n');

function view(content: Uint8Array): Buffer {
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
}

/** Places of the dots that begin a line, found by the runtime's native search. */
function leadingDots(octets: Buffer): number[] {
  const dots = octets[0] === DOT ? [0] : [];
  // After any LF, not after CRLF alone: a host that takes a bare LF for a line end must not find an end of message either.
  for (let at = octets.indexOf('\n.'); at >= 0; at = octets.indexOf('\n.', at + 1)) dots.push(at + 1);
  return dots;
}

/**
 * Content as it goes over the wire before the final dot: leading dots doubled (RFC 5321 §4.5.2), CRLF at its end. The octets
 * are not copied unless a line begins with a dot; the last CRLF may be an entry of its own.
 */
export function formatData(content: Uint8Array): Buffer[] {
  const octets = view(content);
  const dots = leadingDots(octets);
  const ended = octets.length === 0 || (octets[octets.length - 1] === LF && octets[octets.length - 2] === CR);
  const tail = ended ? [] : [CRLF];
  if (dots.length === 0) return [octets, ...tail];
  const stuffed = Buffer.allocUnsafe(octets.length + dots.length);
  let from = 0;
  let to = 0;
  for (const dot of dots) {
    to += octets.copy(stuffed, to, from, dot);
    stuffed[to++] = DOT;
    from = dot;
  }
  octets.copy(stuffed, to, from);
  return [stuffed, ...tail];
}
