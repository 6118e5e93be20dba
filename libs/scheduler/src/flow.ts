import type { Heap } from './heap.ts';
import type { Site } from './site.ts';

/** The units of one tenant at one site, as long as there are any. */
export interface Flow {
  readonly tenant: string;
  readonly site: Site;
  /** Larger priority first, then the older. */
  readonly ready: Heap<number>;
  /** Units, ready or not. */
  held: number;
  /** While there are any. */
  number: number;
  /** Recipients that the tenant may still send in its turn; below 0 it sits turns out. */
  deficit: number;
  active: number;
  inRing: boolean;
}

/** The flow of the tenant, a new one if there is none. */
export function flowOf(site: Site, tenant: string, createReady: () => Heap<number>): Flow {
  let flow = site.flows.get(tenant);
  if (flow === undefined) {
    flow = { tenant, site, ready: createReady(), held: 0, number: 0, deficit: 0, active: 0, inRing: false };
    site.flows.set(tenant, flow);
  }
  return flow;
}

/** Lets go of a flow that nothing is left to know about. */
export function settleFlow(flow: Flow): void {
  const { flows } = flow.site;
  if (flow.held === 0 && flow.active === 0 && !flow.inRing && flows.get(flow.tenant) === flow) flows.delete(flow.tenant);
}

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

/**
 * The flow whose turn it is, by deficit round robin: a turn lasts until the quantum is used up, a start that costs more is paid
 * for by sitting turns out. Undefined: no flow may send. Amortized O(1): each visit pays back a quantum or ends an idle flow.
 *
 * @param maxActive a tenant with so many active units is passed over
 */
export function flowInTurn(ring: Ring<Flow>, maxActive: number): Flow | undefined {
  let blocked = 0;
  for (let flow = ring.first(); flow !== undefined && blocked < ring.size; flow = ring.first()) {
    if (flow.deficit > 0 && flow.ready.size > 0 && flow.active < maxActive) return flow;
    ring.shift();
    const isCapped = flow.ready.size > 0 && flow.active >= maxActive;
    blocked = isCapped ? blocked + 1 : 0;
    if (!isCapped) flow.deficit = Math.min(flow.deficit, 0) + QUANTUM;
    if (flow.ready.size === 0 && flow.deficit >= 0) {
      flow.inRing = false;
      settleFlow(flow);
    } else ring.push(flow);
  }
  return undefined;
}
