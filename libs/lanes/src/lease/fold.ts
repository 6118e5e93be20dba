import type { LeaseSnapshot, LeaseWriter } from '@angarium/records';
import type { Lease, LeaseEvent, LeaseRecord, Member } from './lease.ts';
import { claim, forgetMembers, release, renew, VOID } from './rules.ts';
import { contradiction, isBeginning, type LeaseState, snapshotLanes, snapshotMembers, takeSnapshot } from './snapshot.ts';

/** State of `mail.lease`: the same for every reader, wherever it started. */
export interface LeaseFold {
  /** Applies the next record, in log order without a gap. Kinds of other topics are void. */
  apply(record: LeaseRecord): LeaseEvent;
  /** A snapshot was found: the state is known. */
  readonly isBased: boolean;
  /** Empty before the state is known. */
  readonly logId: string;
  readonly lanes: ReadonlyMap<number, Lease>;
  /** By incarnation: all that renewed within a minute of the log's time before its last snapshot, and all owners. */
  readonly members: ReadonlyMap<string, Member>;
  /** Offset of the first record that was not applied, and append time of the last one that was; 0: none. */
  readonly seen: number;
  readonly seenAtMs: number;
  /** The whole state as a record. */
  snapshot(writer: LeaseWriter): LeaseSnapshot;
  /** A reader may start here: two snapshots follow. */
  readonly watermark: number;
}

/** What a fold holds besides the state. */
interface Reading extends LeaseState {
  logId: string;
  /** Lowest offset from which everything was read. */
  first: number;
  /** Records from there, until a snapshot is found. */
  held: LeaseRecord[];
  /** Append time of the newest of them that shows that somebody knows the state. */
  livedMs: number;
  /** Where the newest snapshots begin, the older first. */
  snapshots: number[];
}

/** Older ones are given up: whoever starts from a snapshot needs two minutes of them. */
const MOST_HELD = 100_000;
/** A beginning counts only where nobody lives: those who do will write a snapshot that knows the owners. */
const SILENCE_MS = 9_000;

function onSnapshot(
  reading: Reading,
  snapshot: LeaseSnapshot,
  { writer, appendedAtMs }: { writer: LeaseWriter; appendedAtMs: number },
): LeaseEvent {
  const reason = contradiction(snapshot, reading.lanes);
  if (reason !== undefined) return { is: 'diverged', reason };
  forgetMembers(reading, appendedAtMs);
  // A copy that comes late says nothing about where to start.
  if (writer.seen > (reading.snapshots.at(-1) ?? -1)) reading.snapshots = [...reading.snapshots.slice(-1), writer.seen];
  return { is: 'snapshot', writer };
}

function applyKnown(reading: Reading, { offset, appendedAtMs, kind }: LeaseRecord): LeaseEvent {
  if (!kind.$case.startsWith('lease') || !('writer' in kind.value) || kind.value.writer === undefined) return VOID;
  const at = { writer: kind.value.writer, offset, appendedAtMs };
  if (at.writer.logId !== reading.logId) {
    // Several may have found the log empty: the first one named it.
    const isLateBeginning = kind.$case === 'leaseSnapshot' && isBeginning(kind.value);
    return isLateBeginning ? VOID : { is: 'foreign', logId: at.writer.logId };
  }
  if (kind.$case === 'leaseRenewal') return renew(reading, { value: kind.value, ...at });
  if (kind.$case === 'leaseClaim') return claim(reading, { value: kind.value, ...at });
  if (kind.$case === 'leaseRelease') return release(reading, { value: kind.value, ...at });
  return kind.$case === 'leaseSnapshot' ? onSnapshot(reading, kind.value, at) : VOID;
}

/** Takes over the state before the snapshot's `seen`, then applies everything that was read from there. */
function base(reading: Reading, snapshot: LeaseSnapshot, writer: LeaseWriter): LeaseEvent {
  const since = reading.held.filter(({ offset }) => offset >= writer.seen);
  Object.assign(reading, takeSnapshot(snapshot), { logId: writer.logId, held: [] });
  for (const record of since) {
    const event = applyKnown(reading, record);
    if (event.is === 'diverged') return event;
  }
  return { is: 'based' };
}

function hold(reading: Reading, record: LeaseRecord): LeaseEvent {
  reading.held.push(record);
  if (reading.held.length > MOST_HELD) {
    reading.held = reading.held.slice(MOST_HELD / 2);
    reading.first = reading.held[0]?.offset ?? reading.first;
  }
  const { kind, appendedAtMs } = record;
  const isBeginningOnly = kind.$case === 'leaseSnapshot' && isBeginning(kind.value);
  const isUsable = kind.$case === 'leaseSnapshot' && (!isBeginningOnly || appendedAtMs - reading.livedMs >= SILENCE_MS);
  if (kind.$case.startsWith('lease') && !isBeginningOnly) reading.livedMs = appendedAtMs;
  if (!isUsable || kind.value.writer === undefined || kind.value.writer.seen < reading.first) return VOID;
  return base(reading, kind.value, kind.value.writer);
}

/** @param from offset of the first record that will be applied */
export function createLeaseFold(from: number): LeaseFold {
  const reading: Reading = {
    lanes: new Map(),
    members: new Map(),
    logId: '',
    first: from,
    held: [],
    livedMs: Number.NEGATIVE_INFINITY,
    snapshots: [],
  };
  const fold = {
    seen: from,
    seenAtMs: 0,
    get isBased() {
      return reading.logId !== '';
    },
    get logId() {
      return reading.logId;
    },
    get lanes() {
      return reading.lanes;
    },
    get members() {
      return reading.members;
    },
    get watermark() {
      return reading.snapshots.length < 2 ? 0 : (reading.snapshots[0] ?? 0);
    },
    snapshot: (writer: LeaseWriter) => ({ writer, lanes: snapshotLanes(reading.lanes), members: snapshotMembers(reading.members) }),
    apply(record: LeaseRecord) {
      fold.seen = record.offset + 1;
      fold.seenAtMs = record.appendedAtMs;
      return reading.logId === '' ? hold(reading, record) : applyKnown(reading, record);
    },
  };
  return fold;
}
