import { type Accepted, type Dead, type Enqueued, type Kind, Result } from '@angarium/records';
import {
  type AccountingTotals,
  accept,
  commit,
  createPartition,
  formatPartition,
  type InPartition,
  lanesMoved,
  listOverdue,
  mention,
  type OverdueMessage,
  type PartitionCheckpoint,
  setAside,
} from './accounting-partition.ts';
import type { Change, LaneRecord } from './live.ts';

export interface AccountingReport extends Readonly<AccountingTotals> {
  /** Accepted and not yet in all their lanes. */
  readonly unrouted: number;
  /** Waiting in lanes, unrouted or dead. */
  readonly queued: number;
  /** accepted + carriedOver + expanded - (delivered + bounced + expired + discarded + queued): not 0 rings. */
  readonly difference: number;
  /** Messages that routing passed without all their recipients being in the lanes; at most the first hundred. */
  readonly overdue: readonly OverdueMessage[];
}

export interface InPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Where a first start begins: what lies before is carried over. */
export interface AccountingOrigin {
  /** Of the log; with another one nothing of a checkpoint holds: begin with an origin. */
  readonly incarnation: number;
  /** By lane number: the end of the lane at the start. Lanes are to be fed from their low marks. */
  readonly laneEnds: readonly number[];
  /** Where reading of each partition of `mail.in` and `mail.in.bulk` begins: routing's committed offset. */
  readonly partitions: readonly { readonly topic: string; readonly partition: number; readonly position: number }[];
}

/** Plain data, for JSON. */
export interface AccountingCheckpoint {
  readonly incarnation: number;
  readonly totals: AccountingTotals;
  /** By lane number: records below `position` are counted. */
  readonly lanes: readonly { readonly position: number; readonly originEnd: number }[];
  readonly partitions: readonly PartitionCheckpoint[];
}

/**
 * The identity of promise 2, from the log alone: what was accepted is delivered, bounced, expired, discarded or queued.
 *
 * Feed it every record of the input topics in order, every lane record with what it changed in the lane's fold, and
 * routing's commits. After a restart from a checkpoint the lanes are replayed into their folds from the low mark as
 * always; what the checkpoint counted is not counted again. The memory is a few octets per unrouted message.
 */
export interface Accounting {
  /** Records of one partition in order; those that a checkpoint counted are passed over. */
  applyAccepted(at: InPosition, accepted: Accepted): void;
  /** A record in the place of an `Accepted` that is none: it counts once it is in `mail.dead`, as nobody's. */
  applyUnreadable(at: InPosition): void;
  /** From the low mark of `mail.dead` at every start: what is known already changes nothing. */
  applyDead(dead: Dead): void;
  /** Before a lane's first record of this run, and where another fold begins to feed it: the offset that its reading starts at. */
  startLane(lane: number, position: number): void;
  applyLane(lane: number, record: LaneRecord<Kind>, change: Change): void;
  /**
   * Routing has committed everything below `offset`. `laneEnds`: the ends of all lanes, asked for after the committed
   * offset: only a lane that was read as far can miss something.
   */
  committed(at: InPosition, laneEnds: readonly number[]): void;
  /**
   * True once every lane was fed up to what the checkpoint counted: before that the folds' waiting recipients are not
   * comparable.
   */
  readonly isReplayed: boolean;
  /** @param waiting the sum of `waitingRecipients` of all lanes' folds */
  report(waiting: number): AccountingReport;
  checkpoint(): AccountingCheckpoint;
  /** Where to read on, for the partitions of the input topics. */
  readonly positions: readonly { readonly topic: string; readonly partition: number; readonly position: number }[];
}

interface CountedLane {
  /** Fed so far. */
  position: number;
  /** Counted before: to be passed over. */
  countedBelow: number;
  readonly originEnd: number;
}

interface AccountingState {
  readonly totals: AccountingTotals;
  readonly lanes: readonly CountedLane[];
  readonly partitions: ReadonlyMap<string, InPartition>;
  readonly incarnation: number;
}

const REPORTED_OVERDUE = 100;
const nameOf = (at: { readonly topic: string; readonly partition: number }) => `${at.topic}/${at.partition}`;

function createState(start: AccountingOrigin | AccountingCheckpoint): AccountingState {
  const none = { accepted: 0, carriedOver: 0, expanded: 0, delivered: 0, bounced: 0, expired: 0, discarded: 0, dead: 0 };
  const totals = 'totals' in start ? { ...start.totals } : none;
  const lanes =
    'totals' in start
      ? start.lanes.map(({ position, originEnd }) => ({ position: 0, countedBelow: position, originEnd }))
      : start.laneEnds.map((originEnd) => ({ position: 0, countedBelow: 0, originEnd }));
  const partitions = new Map(
    start.partitions.map((at) => [nameOf(at), createPartition({ done: [], open: [], overdue: [], ...at }, totals)]),
  );
  return { totals, lanes, partitions, incarnation: start.incarnation };
}

interface Seen {
  readonly lane: number;
  readonly record: Enqueued;
  readonly admitted: number;
  /** The record was in the lane before the first start. */
  readonly isOld: boolean;
}

function applyEnqueued({ totals, incarnation, partitions }: AccountingState, { lane, record, admitted, isOld }: Seen): void {
  const { src } = record;
  const partition = src === undefined || src.incarnation !== incarnation ? undefined : partitions.get(nameOf(src));
  if (src === undefined || partition === undefined || src.offset < partition.window.base) {
    // Its acceptance was counted long ago, or never will be.
    if (isOld) totals.carriedOver += admitted;
    else totals.expanded += admitted;
    if (src === undefined || partition === undefined) return;
  } else totals.expanded += admitted;
  const recipients = record.recipients.map(({ address }) => `${lane} ${address}`);
  mention(partition, src.offset, { expected: record.expandedRecipients, recipients, admitted });
}

function applyLane(state: AccountingState, lane: number, { offset, kind }: LaneRecord<Kind>, change: Change): void {
  const { totals } = state;
  const counted = state.lanes[lane];
  if (counted === undefined) throw new RangeError(`no lane ${lane}`);
  counted.position = offset + 1;
  if (offset < counted.countedBelow) return;
  const isOld = offset < counted.originEnd;
  if (kind.$case === 'enqueued') applyEnqueued(state, { lane, record: kind.value, admitted: change.admitted.length, isOld });
  // Later on a rewritten message creates nobody: if it does, somebody was lost or is revived, and that must show.
  else if (isOld) for (const { state: its } of change.admitted) if (its === 'waiting') totals.carriedOver++;
  for (const { result } of change.finished) {
    if (result === Result.DELIVERED) totals.delivered++;
    else if (result === Result.BOUNCED) totals.bounced++;
    else if (result === Result.EXPIRED) totals.expired++;
    else totals.discarded++;
  }
  for (const partition of state.partitions.values()) lanesMoved(partition, state.lanes);
}

const unroutedOf = ({ partitions }: Pick<AccountingState, 'partitions'>) =>
  [...partitions.values()].reduce((sum, { unrouted }) => sum + unrouted, 0);

function report({ totals, partitions }: AccountingState, waiting: number): AccountingReport {
  const { accepted, carriedOver, expanded, delivered, bounced, expired, discarded, dead } = totals;
  const unrouted = unroutedOf({ partitions });
  const overdue: OverdueMessage[] = [];
  for (const partition of partitions.values()) overdue.push(...listOverdue(partition, REPORTED_OVERDUE - overdue.length));
  const queued = waiting + unrouted + dead;
  const difference = accepted + carriedOver + expanded - (delivered + bounced + expired + discarded + queued);
  return { ...totals, unrouted, queued, difference, overdue };
}

export function createAccounting(start: AccountingOrigin | AccountingCheckpoint): Accounting {
  const state = createState(start);
  const partitionOf = (at: { readonly topic: string; readonly partition: number }): InPartition => {
    const partition = state.partitions.get(nameOf(at));
    if (partition === undefined) throw new RangeError(`no partition ${nameOf(at)}`);
    return partition;
  };
  return {
    applyAccepted: (at, accepted) => accept(partitionOf(at), at.offset, accepted.recipients.length),
    applyUnreadable: (at) => accept(partitionOf(at), at.offset, 0),
    applyDead({ src }) {
      const partition = src?.incarnation === state.incarnation ? state.partitions.get(nameOf(src)) : undefined;
      if (src !== undefined && partition !== undefined) setAside(partition, src.offset);
    },
    startLane(lane, position) {
      const counted = state.lanes[lane];
      if (counted === undefined) throw new RangeError(`no lane ${lane}`);
      counted.countedBelow = Math.max(counted.countedBelow, counted.position);
      counted.position = position;
    },
    applyLane: (lane, record, change) => applyLane(state, lane, record, change),
    committed(at, laneEnds) {
      const partition = partitionOf(at);
      commit(partition, { offset: at.offset, laneEnds });
      lanesMoved(partition, state.lanes);
    },
    get isReplayed() {
      return state.lanes.every(({ position, countedBelow }) => position >= countedBelow);
    },
    report: (waiting) => report(state, waiting),
    checkpoint: () => ({
      incarnation: state.incarnation,
      // What is not complete is read again.
      totals: { ...state.totals, accepted: state.totals.accepted - unroutedOf(state) },
      lanes: state.lanes.map(({ position, countedBelow, originEnd }) => ({ position: Math.max(position, countedBelow), originEnd })),
      partitions: [...state.partitions.values()].map(formatPartition),
    }),
    get positions() {
      return [...state.partitions.values()].map(({ topic, partition, window }) => ({ topic, partition, position: window.position }));
    },
  };
}
