import { hashText, mix } from '../hash.ts';

/** A live member as the sharing sees it. */
export interface Sharer {
  readonly incarnation: string;
  readonly worker: string;
  /** Wants no more lanes: full, or on its way out. */
  readonly closed: boolean;
  readonly leaving: boolean;
  /** Was not heard lately, though it may live. */
  readonly quiet: boolean;
  /** Came so lately that it cannot have waited for the end of another's silence. */
  readonly young: boolean;
  /** Lanes that it knows of. */
  readonly laneCount: number;
  /** Lanes that it owns. */
  readonly owned: number;
}

const seeds = new Map<string, number>();
const MOST_SEEDS = 10_000;

function seedOf(text: string): number {
  let seed = seeds.get(text);
  if (seed === undefined) {
    if (seeds.size >= MOST_SEEDS) seeds.clear();
    seed = hashText(text);
    seeds.set(text, seed);
  }
  return seed;
}

const weigh = (lane: number, text: string): number => mix(seedOf(text) ^ mix(lane + 1));

/** Rendezvous: who prefers the lane more comes first. Two processes of one name differ by their incarnations. */
export function byPreference(lane: number): (one: Sharer, other: Sharer) => number {
  return (one, other) =>
    weigh(lane, other.worker) - weigh(lane, one.worker) || weigh(lane, other.incarnation) - weigh(lane, one.incarnation);
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

/** Every open member's share lies between the two. */
export interface Share {
  readonly least: number;
  readonly most: number;
}

/** Lanes that closed members keep are not shared out; one that is full keeps at most what would be its share. */
export function shareOf(laneCount: number, sharers: readonly Sharer[]): Share {
  const staying = sharers.filter(({ leaving }) => !leaving);
  const open = staying.filter(({ closed }) => !closed);
  if (open.length === 0) return { least: 0, most: Math.ceil(laneCount / Math.max(1, staying.length)) };
  const even = Math.floor(laneCount / staying.length);
  const kept = sum(staying.filter(({ closed }) => closed).map(({ owned }) => Math.min(owned, even)));
  const each = Math.max(0, laneCount - kept) / open.length;
  return { least: Math.floor(each), most: Math.ceil(each) };
}

/** A lane without an owner: `released`, so that nobody needs to wait. */
export interface FreeLane {
  readonly lane: number;
  readonly released: boolean;
}

/**
 * Who should claim each of the free lanes: first members below the least share, then below the most, by preference. The
 * rest of the open members follow, those last that are quiet, full or cannot claim yet, in the order in which they step in when those before them do not.
 */
export function heirsOf(free: readonly FreeLane[], sharers: readonly Sharer[], share: Share): ReadonlyMap<number, readonly Sharer[]> {
  const staying = sharers.filter(({ leaving }) => !leaving);
  const owned = new Map(staying.map((sharer) => [sharer.incarnation, sharer.owned]));
  const level = ({ incarnation, quiet, young, closed }: Sharer, released: boolean): number => {
    if (closed) return 7;
    if (quiet) return 6;
    const count = owned.get(incarnation) ?? 0;
    const fullness = count < share.least ? 0 : count < share.most ? 2 : 4;
    return young && !released ? fullness + 1 : fullness;
  };
  const heirs = new Map<number, readonly Sharer[]>();
  for (const { lane, released } of free) {
    const prefer = byPreference(lane);
    const order = staying
      .filter(({ laneCount }) => laneCount > lane)
      .sort((one, other) => level(one, released) - level(other, released) || prefer(one, other));
    const [first] = order;
    if (first !== undefined) owned.set(first.incarnation, (owned.get(first.incarnation) ?? 0) + 1);
    heirs.set(lane, order);
  }
  return heirs;
}

/**
 * How many lanes a member gives away so that all shares become even with the fewest moves. All members come to the same
 * numbers, also half-way through: who owns more than the most gives that up; what then is still missing to the least
 * comes from those at the most, in order of their incarnations.
 */
export function surplusOf(incarnation: string, sharers: readonly Sharer[], { share, free }: { share: Share; free: number }): number {
  const staying = sharers.filter(({ leaving }) => !leaving);
  const open = staying.filter(({ closed }) => !closed);
  const room = sum(open.map(({ owned }) => Math.max(0, share.most - owned)));
  const wanted = sum(open.map(({ owned }) => Math.max(0, share.least - owned)));
  const excess = ({ owned }: Sharer): number => Math.max(0, owned - share.most);
  const coming = free + sum(sharers.map((sharer) => (sharer.leaving ? sharer.owned : excess(sharer))));
  const me = staying.find((sharer) => sharer.incarnation === incarnation);
  if (me === undefined || room <= free) return 0;
  const missing = wanted - coming;
  const givers = open.filter(({ owned }) => owned >= share.most && share.most > share.least).map((sharer) => sharer.incarnation);
  const givesOneMore = missing > 0 && givers.sort().indexOf(incarnation) >= 0 && givers.indexOf(incarnation) < missing;
  return Math.min(excess(me) + (givesOneMore ? 1 : 0), room - free);
}
