import { createHeap, type Heap } from './heap.ts';
import type { Unit } from './unit.ts';

/** Ready units of one tenant at one site: larger priority first, then the older. */
export interface Flow {
  readonly tenant: string;
  readonly ready: Heap<Unit>;
  /** Recipients that the tenant may still send in its turn; below 0 it sits turns out. */
  deficit: number;
  active: number;
  inRing: boolean;
}

export const createFlow = (tenant: string): Flow => ({
  tenant,
  ready: createHeap<Unit>((a, b) => {
    if (a.priority !== b.priority) return a.priority > b.priority;
    return a.ageMs === b.ageMs ? a.sequence < b.sequence : a.ageMs < b.ageMs;
  }),
  deficit: 0,
  active: 0,
  inRing: false,
});

/** First in, first out; O(1). */
export interface Ring<T> {
  readonly size: number;
  push(member: T): void;
  first(): T | undefined;
  shift(): T | undefined;
}

const COMPACT_AT = 64;

export function createRing<T>(): Ring<T> {
  let members: T[] = [];
  let head = 0;
  return {
    get size() {
      return members.length - head;
    },
    push: (member) => void members.push(member),
    first: () => members[head],
    shift() {
      const member = members[head];
      if (member === undefined) return undefined;
      head++;
      if (head >= COMPACT_AT && head * 2 >= members.length) {
        members = members.slice(head);
        head = 0;
      }
      return member;
    },
  };
}

/** Recipients that a tenant gets per round. Small: a newcomer waits for little; at least 1 is fair all the same. */
const QUANTUM = 10;

export interface Turn {
  /** A tenant with this many active units is passed over. */
  readonly maxActive: number;
  /** The flow was found empty and owes nothing. */
  readonly onIdle: (flow: Flow) => void;
}

/**
 * The flow whose turn it is, by deficit round robin: a turn lasts until the quantum is used up, a start that costs more is paid
 * for by sitting turns out. Undefined: no flow may send. Amortized O(1): each visit pays back a quantum or ends an idle flow.
 */
export function flowInTurn(ring: Ring<Flow>, { maxActive, onIdle }: Turn): Flow | undefined {
  let blocked = 0;
  for (let flow = ring.first(); flow !== undefined && blocked < ring.size; flow = ring.first()) {
    if (flow.deficit > 0 && flow.ready.size > 0 && flow.active < maxActive) return flow;
    ring.shift();
    const isCapped = flow.ready.size > 0 && flow.active >= maxActive;
    blocked = isCapped ? blocked + 1 : 0;
    if (!isCapped) flow.deficit = Math.min(flow.deficit, 0) + QUANTUM;
    if (flow.ready.size === 0 && flow.deficit >= 0) {
      flow.inRing = false;
      onIdle(flow);
    } else ring.push(flow);
  }
  return undefined;
}
