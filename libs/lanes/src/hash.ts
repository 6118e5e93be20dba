/**
 * 32-bit hash of a text: FNV-1a over its UTF-16 code units, then murmur3's finalizer. Lanes are chosen by it, so it must
 * give the same in every release.
 */
export function hashText(text: string, seed = 0x811c9dc5): number {
  let hash = seed;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mix(hash);
}

/** Every bit of the result depends on every bit of `value`. */
export function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Of an attempt id: 30 bits, which an object holds without a number object of its own. */
export const hashAttempt = (attemptId: string): number => hashText(attemptId) >>> 2;
