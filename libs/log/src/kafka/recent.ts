import type { LogRecord } from '../port.ts';

/** What an entry costs beside its value, about. */
const ENTRY_OVERHEAD_OCTETS = 200;

/** Values of records that were read lately, within a number of octets: the oldest go first, whatever partition they are of. */
export interface Recent {
  add(key: string, records: readonly LogRecord[]): void;
  get(key: string, offset: number): LogRecord | undefined;
  /** Forgets what is below an offset of the partition. */
  trim(key: string, below: number): void;
}

export function createRecent(maxOctets: number): Recent {
  const partitions = new Map<string, Map<number, LogRecord>>();
  let queue: { readonly key: string; readonly offset: number; readonly octets: number }[] = [];
  let head = 0;
  let octets = 0;
  const partitionOf = (key: string) => {
    const found = partitions.get(key) ?? new Map<number, LogRecord>();
    partitions.set(key, found);
    return found;
  };
  const evict = () => {
    for (let oldest = queue[head]; octets > maxOctets && oldest; oldest = queue[head]) {
      head++;
      octets -= oldest.octets;
      partitions.get(oldest.key)?.delete(oldest.offset);
    }
    if (head > 1024 && head * 2 > queue.length) {
      queue = queue.slice(head);
      head = 0;
    }
  };
  return {
    add: (key, records) => {
      const partition = partitionOf(key);
      for (const record of records) {
        if (partition.has(record.offset)) continue;
        partition.set(record.offset, record);
        const size = record.value.length + ENTRY_OVERHEAD_OCTETS;
        queue.push({ key, offset: record.offset, octets: size });
        octets += size;
      }
      evict();
    },
    get: (key, offset) => partitions.get(key)?.get(offset),
    trim: (key, below) => {
      const partition = partitions.get(key);
      if (partition) for (const offset of partition.keys()) if (offset < below) partition.delete(offset);
    },
  };
}
