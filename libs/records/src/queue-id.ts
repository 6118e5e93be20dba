import { createHash } from 'node:crypto';

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const LENGTH = 26;
const TIME_DIGITS = 10;

function toDigits(value: number, length: number): string {
  let text = '';
  for (let rest = value, left = length; left > 0; left--, rest = Math.floor(rest / 32)) text = DIGITS[rest % 32] + text;
  return text;
}

export interface QueueIdSource {
  readonly nowMs: () => number;
  /** Uniform in [0, 1), unpredictable enough that two processes never agree on 80 bits. */
  readonly random: () => number;
}

/** Queue ids: 26 characters, in order of time to the millisecond, 80 random bits. */
export function createQueueIds({ nowMs, random }: QueueIdSource): () => string {
  const randomDigits = () => toDigits(Math.floor(random() * 2 ** 40), 8);
  return () => toDigits(nowMs(), TIME_DIGITS) + randomDigits() + randomDigits();
}

/**
 * Queue id of a message that another one causes. The same parent and purpose give the same id in every process, so that
 * doing it twice makes it once.
 */
export function deriveQueueId(parentQueueId: string, purpose: string): string {
  const hash = createHash('sha256').update(`${parentQueueId} ${purpose}`).digest();
  let tail = '';
  for (let at = 0; at < LENGTH - TIME_DIGITS; at++) tail += DIGITS[(hash[at] ?? 0) % 32];
  return parentQueueId.slice(0, TIME_DIGITS).padEnd(TIME_DIGITS, '0') + tail;
}
