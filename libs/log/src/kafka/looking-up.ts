import type { LogRecord } from '../port.ts';
import { type PartitionRef, partitionKey } from './messages.ts';
import type { Recent } from './recent.ts';

export type ReadPartition = (at: PartitionRef, from: number, maxOctets: number) => Promise<readonly LogRecord[]>;

/** What is read ahead for a reader that takes record after record. */
const AHEAD_OCTETS = 256 * 1024;
/** A reader that comes back within so many records is one. */
const NEAR_RECORDS = 256;

/** Records from the first on, up to so many octets of values, and one at least where there is one. */
function upTo(maxOctets: number, recordAt: (at: number) => LogRecord | undefined): readonly LogRecord[] {
  const found: LogRecord[] = [];
  let octets = 0;
  for (let next = recordAt(0); next; next = recordAt(found.length)) {
    octets += next.value.length;
    if (octets > maxOctets && found.length > 0) break;
    found.push(next);
  }
  return found;
}

/**
 * Reads records by offset: from memory what was followed or read ahead lately, from the broker the rest. A broker sends whole
 * batches, up to 900 KiB for one record; a backlog that is delivered in order would be fetched once for each of its messages.
 * One request at a time for a partition: whoever waits for it finds most of what it wants in memory afterwards.
 */
export function createLookUp(recent: Recent, read: ReadPartition): ReadPartition {
  const lastFrom = new Map<string, number>();
  const running = new Map<string, Promise<unknown>>();
  const readOn = async (key: string, at: PartitionRef, from: number, maxOctets: number): Promise<readonly LogRecord[]> => {
    const distance = from - (lastFrom.get(key) ?? Number.NEGATIVE_INFINITY);
    lastFrom.set(key, from);
    if (maxOctets >= AHEAD_OCTETS || distance < 0 || distance > NEAR_RECORDS) return read(at, from, maxOctets);
    const records = await read(at, from, AHEAD_OCTETS);
    recent.add(key, records);
    return upTo(maxOctets, (next) => records[next]);
  };
  return async (at, from, maxOctets) => {
    const key = partitionKey(at);
    for (;;) {
      const found = upTo(maxOctets, (next) => recent.get(key, from + next));
      if (found.length > 0) return found;
      const before = running.get(key);
      if (before === undefined) break;
      // Whoever asked for it hears of its trouble.
      await before.catch(() => {});
    }
    const reading = readOn(key, at, from, maxOctets).finally(() => running.delete(key));
    running.set(key, reading);
    return reading;
  };
}
