import type { TopicName } from './port.ts';

/** Largest value of a record (design §3). */
export const VALUE_MAX_OCTETS = 512 * 1024;

export function checkValues(values: readonly Uint8Array[]): void {
  if (values.length === 0) throw new RangeError('nothing to append');
  for (const value of values)
    if (value.length > VALUE_MAX_OCTETS) throw new RangeError(`a record has at most ${VALUE_MAX_OCTETS} octets: ${value.length}`);
}

export function checkPartition(partition: number, partitions: number, topic: string): void {
  if (!Number.isInteger(partition) || partition < 0 || partition >= partitions)
    throw new RangeError(`${topic} has no partition ${partition}`);
}

/** Partitions by turns, for engines in which all are alike. */
export function createTurns(partitions: (topic: TopicName) => number): (topic: TopicName) => number {
  const last = new Map<TopicName, number>();
  return (topic) => {
    const next = ((last.get(topic) ?? -1) + 1) % partitions(topic);
    last.set(topic, next);
    return next;
  };
}
