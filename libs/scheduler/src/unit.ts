import { reach } from './columns.ts';
import type { Flow } from './flow.ts';
import { createHeap, type Heap, type Places } from './heap.ts';
import type { Site } from './site.ts';

/** `none`: not held. */
export const PLACES = ['none', 'due', 'ready', 'parked'] as const;
export type Place = (typeof PLACES)[number];

/** What is remembered of a unit while it is held. */
export interface UnitFacts {
  readonly flow: Flow;
  readonly dueAtMs: number;
  /** Deferred since its site failed: due as soon as the site is reached again. */
  readonly waitsForSite: boolean;
  /** Larger goes first within a tenant. */
  readonly priority: number;
  /** Smaller goes first within a tenant and priority: instant of arrival, or of the last turn of a unit that needs several. */
  readonly ageMs: number;
  readonly recipients: number;
}

/**
 * The units that are held, by their numbers: about 60 octets each, in columns that are as long as the largest number. Every call is
 * O(1) but for those of the heaps.
 */
export interface UnitTable {
  /** Adds it to its site, in no place yet. */
  hold(unit: number, facts: UnitFacts): void;
  /** Takes it from its site. */
  drop(unit: number): void;
  place(unit: number): Place;
  setPlace(unit: number, place: Place): void;
  /** Undefined: not held. */
  flow(unit: number): Flow | undefined;
  dueAtMs(unit: number): number;
  ageMs(unit: number): number;
  recipients(unit: number): number;
  setRecipients(unit: number, recipients: number): void;
  waitsForSite(unit: number): boolean;
  /**
   * Since when the unit is due that is ready longest at a site that is open; Infinity: none is. Cost: one pass over the columns, and
   * a look at the site of a unit that would be the one.
   */
  oldestReadyMs(isOpen: (site: Site) => boolean): number;
  /** Recipients by age: up to each of the edges, which ascend, and beyond the last. Cost: one pass over the columns. */
  countAges(edgesMs: readonly number[], nowMs: number): number[];
  /** Where it is in the heap, or the list, that it is in. */
  readonly places: Places<number>;
  /** By `dueAtMs`. */
  createDueHeap(): Heap<number>;
  /** Larger priority first, then the older. */
  createReadyHeap(): Heap<number>;
}

const READY = PLACES.indexOf('ready');

function createColumns() {
  return {
    place: new Uint8Array(64),
    /** One more than the number of its flow; 0: not held. */
    flow: new Uint32Array(64),
    waitsForSite: new Uint8Array(64),
    at: new Int32Array(64),
    siteAt: new Uint32Array(64),
    sequence: new Uint32Array(64),
    priority: new Int32Array(64),
    recipients: new Uint32Array(64),
    dueAtMs: new Float64Array(64),
    ageMs: new Float64Array(64),
  };
}

function reachAll(columns: ReturnType<typeof createColumns>, unit: number): void {
  columns.place = reach(columns.place, unit);
  columns.flow = reach(columns.flow, unit);
  columns.waitsForSite = reach(columns.waitsForSite, unit);
  columns.at = reach(columns.at, unit);
  columns.siteAt = reach(columns.siteAt, unit);
  columns.sequence = reach(columns.sequence, unit);
  columns.priority = reach(columns.priority, unit);
  columns.recipients = reach(columns.recipients, unit);
  columns.dueAtMs = reach(columns.dueAtMs, unit);
  columns.ageMs = reach(columns.ageMs, unit);
}

const at = (column: ArrayLike<number>, unit: number): number => column[unit] ?? 0;

function createComparisons(columns: ReturnType<typeof createColumns>) {
  const isEarlier = (a: number, b: number): boolean => at(columns.sequence, a) < at(columns.sequence, b);
  const isDueBefore = (a: number, b: number): boolean => {
    const [one, other] = [at(columns.dueAtMs, a), at(columns.dueAtMs, b)];
    return one === other ? isEarlier(a, b) : one < other;
  };
  const goesBefore = (a: number, b: number): boolean => {
    const [one, other] = [at(columns.priority, a), at(columns.priority, b)];
    if (one !== other) return one > other;
    const [oneMs, otherMs] = [at(columns.ageMs, a), at(columns.ageMs, b)];
    return oneMs === otherMs ? isEarlier(a, b) : oneMs < otherMs;
  };
  return { isDueBefore, goesBefore };
}

/** Numbers of the flows that hold units. */
function createFlowNumbers() {
  const flows: (Flow | undefined)[] = [];
  const free: number[] = [];
  return {
    at: (number: number): Flow | undefined => flows[number],
    enter(flow: Flow): number {
      if (flow.held++ === 0) {
        flow.number = free.pop() ?? flows.length;
        flows[flow.number] = flow;
      }
      return flow.number;
    },
    leave(flow: Flow): void {
      if (--flow.held > 0) return;
      flows[flow.number] = undefined;
      free.push(flow.number);
    },
  };
}

type Columns = ReturnType<typeof createColumns>;

// The loops over all units look into the columns themselves: at each place one kind of array takes a fifth of the time.
function oldestReadyMs(
  { flow, place, dueAtMs, ageMs }: Columns,
  flowAt: (number: number) => Flow | undefined,
  isOpen: (site: Site) => boolean,
): number {
  let oldestMs = Number.POSITIVE_INFINITY;
  for (let unit = 0; unit < flow.length; unit++) {
    const held = flow[unit] ?? 0;
    if (held === 0 || place[unit] !== READY) continue;
    const sinceMs = Math.max(dueAtMs[unit] ?? 0, ageMs[unit] ?? 0);
    const site = sinceMs < oldestMs ? flowAt(held - 1)?.site : undefined;
    if (site !== undefined && isOpen(site)) oldestMs = sinceMs;
  }
  return oldestMs;
}

function countAges({ flow, ageMs, recipients }: Columns, edgesMs: readonly number[], nowMs: number): number[] {
  const edges = Float64Array.from(edgesMs, (edgeMs) => nowMs - edgeMs);
  const counts = new Float64Array(edges.length + 1);
  for (let unit = 0; unit < flow.length; unit++) {
    if (flow[unit] === 0) continue;
    const sinceMs = ageMs[unit] ?? 0;
    let bucket = 0;
    while (bucket < edges.length && sinceMs < (edges[bucket] ?? 0)) bucket++;
    counts[bucket] = (counts[bucket] ?? 0) + (recipients[unit] ?? 0);
  }
  return [...counts];
}

export function createUnitTable(): UnitTable {
  const columns = createColumns();
  const flows = createFlowNumbers();
  const { isDueBefore, goesBefore } = createComparisons(columns);
  let sequence = 0;

  const places: Places<number> = {
    of: (unit) => at(columns.at, unit),
    set(unit, place) {
      columns.at[unit] = place;
    },
  };
  const leaveSite = ({ units }: Site, unit: number): void => {
    const last = units.pop();
    if (last === undefined || last === unit) return;
    units[at(columns.siteAt, unit)] = last;
    columns.siteAt[last] = at(columns.siteAt, unit);
  };
  return {
    hold(unit, { flow, ...facts }) {
      if (unit >= columns.place.length) reachAll(columns, unit);
      columns.at[unit] = -1;
      columns.siteAt[unit] = flow.site.units.push(unit) - 1;
      columns.sequence[unit] = sequence++;
      columns.priority[unit] = facts.priority;
      columns.recipients[unit] = facts.recipients;
      columns.dueAtMs[unit] = facts.dueAtMs;
      columns.ageMs[unit] = facts.ageMs;
      columns.waitsForSite[unit] = Number(facts.waitsForSite);
      columns.flow[unit] = flows.enter(flow) + 1;
    },
    drop(unit) {
      const flow = flows.at(at(columns.flow, unit) - 1);
      if (flow === undefined) return;
      leaveSite(flow.site, unit);
      flows.leave(flow);
      columns.flow[unit] = 0;
    },
    place: (unit) => PLACES[at(columns.place, unit)] ?? 'none',
    setPlace(unit, place) {
      columns.place[unit] = PLACES.indexOf(place);
    },
    flow: (unit) => flows.at(at(columns.flow, unit) - 1),
    dueAtMs: (unit) => at(columns.dueAtMs, unit),
    ageMs: (unit) => at(columns.ageMs, unit),
    recipients: (unit) => at(columns.recipients, unit),
    setRecipients(unit, recipients) {
      columns.recipients[unit] = recipients;
    },
    oldestReadyMs: (isOpen) => oldestReadyMs(columns, flows.at, isOpen),
    countAges: (edgesMs, nowMs) => countAges(columns, edgesMs, nowMs),
    waitsForSite: (unit) => at(columns.waitsForSite, unit) === 1,
    places,
    createDueHeap: () => createHeap(isDueBefore, places),
    createReadyHeap: () => createHeap(goesBefore, places),
  };
}
