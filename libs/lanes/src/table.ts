import type { LaneTable } from '@angarium/records';
import { hashText, mix } from './hash.ts';

const SLOTS = 4096;

/** Lanes of slots as far as they were asked for, and the spread domains. */
interface Prepared {
  readonly lanes: Int32Array;
  readonly spreads: ReadonlyMap<string, number>;
}

const prepared = new WeakMap<LaneTable, Prepared>();

function prepare(table: LaneTable): Prepared {
  let known = prepared.get(table);
  if (known === undefined) {
    known = { lanes: new Int32Array(SLOTS).fill(-1), spreads: new Map(table.spreads.map((spread) => [spread.domain, spread.lanes])) };
    prepared.set(table, known);
  }
  return known;
}

/** Highest random weight: another number of lanes takes only the slots that the new lanes win. */
function laneOfSlot(slot: number, lanes: number): number {
  let best = 0;
  let bestWeight = -1;
  for (let lane = 0; lane < lanes; lane++) {
    const weight = mix(Math.imul(slot + 1, 0x9e3779b1) ^ mix(lane + 1));
    if (weight > bestWeight) {
      best = lane;
      bestWeight = weight;
    }
  }
  return best;
}

export interface LaneChoice {
  /** In canonical form. */
  readonly domain: string;
  readonly queueId: string;
  /** Hosted here: spread by the table's `localSpread` unless the domain has a spread of its own. */
  readonly local: boolean;
}

/**
 * Lane of a recipient under this version of the table: that of its domain, or for a spread domain one of its lanes by
 * queue id. The same in every process and release, since a redelivery must find the lane of the first delivery.
 */
export function laneOf(table: LaneTable, { domain, queueId, local }: LaneChoice): number {
  const { lanes, spreads } = prepare(table);
  const slot = hashText(domain) % SLOTS;
  let lane = lanes[slot] ?? -1;
  if (lane < 0) {
    lane = laneOfSlot(slot, table.lanes);
    lanes[slot] = lane;
  }
  const spread = Math.min(spreads.get(domain) ?? (local ? table.localSpread : 1), table.lanes);
  return spread <= 1 ? lane : (lane + (hashText(queueId) % spread)) % table.lanes;
}

/** @throws RangeError when a count is not a positive integer */
export function createLaneTable(options: Partial<LaneTable> = {}): LaneTable {
  const table = { ...defaultLaneTable, ...options };
  for (const count of [table.lanes, table.localSpread, ...table.spreads.map(({ lanes }) => lanes)])
    if (!Number.isInteger(count) || count < 1) throw new RangeError(`lanes: ${count}`);
  return table;
}

export const defaultLaneTable: LaneTable = { version: 1, lanes: 16, localSpread: 8, spreads: [] };
