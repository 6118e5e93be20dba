import type { Floor, Source } from '@angarium/records';

interface Known {
  readonly topic: string;
  readonly partition: number;
  readonly incarnation: number;
  offset: number;
  /** Last record that says as much: a reader that starts above it would not know the floor. */
  evidence: number;
}

/**
 * For every partition that routing reads, the position below which all its records are in this lane for good. Positions
 * of different log incarnations say nothing about each other.
 */
export interface Floors {
  /** A small number for the source's partition and incarnation. */
  indexOf(source: Omit<Source, 'offset'>): number;
  raise(index: number, offset: number, evidence: number): void;
  isBelow(index: number, offset: number): boolean;
  /** No redelivery of this source can come that would not be known for one; also when its incarnation is over. */
  isSettled(index: number, offset: number): boolean;
  /** The record that a reader must have read to know this floor. */
  evidence(index: number): number;
  /** The oldest record that is needed to know all floors. */
  oldestEvidence(): number;
  list(): readonly Floor[];
}

export function createFloors(incarnation: number): Floors {
  const known: Known[] = [];
  const byName = new Map<string, number>();
  let current = incarnation;
  const at = (index: number): Known => {
    const floor = known[index];
    if (floor === undefined) throw new RangeError(`no floor ${index}`);
    return floor;
  };
  const counting = () => known.filter((floor) => floor.offset > 0 && floor.incarnation >= current);
  return {
    indexOf({ topic, partition, incarnation: its }) {
      const name = `${its} ${topic} ${partition}`;
      let index = byName.get(name);
      if (index === undefined) {
        index = known.push({ topic, partition, incarnation: its, offset: 0, evidence: 0 }) - 1;
        byName.set(name, index);
        current = Math.max(current, its);
      }
      return index;
    },
    raise(index, offset, evidence) {
      const floor = at(index);
      if (offset < floor.offset) return;
      floor.offset = offset;
      floor.evidence = evidence;
    },
    isBelow: (index, offset) => offset < at(index).offset,
    isSettled: (index, offset) => at(index).incarnation < current || offset < at(index).offset,
    evidence: (index) => at(index).evidence,
    oldestEvidence: () => counting().reduce((oldest, { evidence }) => Math.min(oldest, evidence), Number.POSITIVE_INFINITY),
    list: () => counting().map(({ topic, partition, offset, incarnation: its }) => ({ topic, partition, offset, incarnation: its })),
  };
}
