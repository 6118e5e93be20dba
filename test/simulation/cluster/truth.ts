import { createLeaseFold } from '@angarium/lanes';
import type { MemoryStorage } from '@angarium/log';
import { decodeRecord, type Outcome, Result } from '@angarium/records';

/** A final dot that a worker sent for one recipient. */
interface Dot {
  readonly incarnation: string;
  readonly lane: number;
  isTaken: boolean;
  /** An outcome of it is durable. */
  isRecorded: boolean;
  isExcused: boolean;
}

/** What really happened, by the log and by the hosts: it asks no worker. */
export interface Truth {
  readonly faults: readonly string[];
  /** Reads what is new in the lease log. */
  look(): void;
  ownerOf(lane: number): string | undefined;
  lanesOf(incarnation: string): readonly number[];
  dot(o: { readonly incarnation: string; readonly lane: number; readonly queueId: string; readonly addresses: readonly string[] }): void;
  trimmed(incarnation: string, lane: number): void;
  take(queueId: string, address: string): void;
  /** It was taken, and its reply is lost. */
  doubt(queueId: string, address: string): void;
  /** Durable in a lane. */
  record(values: readonly Uint8Array[]): void;
  /** What this worker has sent and not recorded may be sent again: it was killed, or stood still for too long. */
  excuse(incarnation: string, which?: (lane: number) => boolean): void;
  taken(queueId: string, address: string): number;
  /** Recipients that were taken more often than deaths, losses and lost replies explain. */
  unexplained(): readonly string[];
  isConcluded(queueId: string, address: string): boolean;
  readonly tally: { dots: number; claimed: number; moved: number; doubts: number; excused: number; duplicates: number };
}

const keyOf = (queueId: string, address: string) => `${queueId} ${address}`;

export function createTruth(storage: MemoryStorage, nowMs: () => number): Truth {
  const fold = createLeaseFold(0);
  const faults: string[] = [];
  const dots = new Map<string, Dot[]>();
  const takes = new Map<string, number>();
  const lostReplies = new Map<string, number>();
  const finals = new Set<string>();
  const tally = { dots: 0, claimed: 0, moved: 0, doubts: 0, excused: 0, duplicates: 0 };
  const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
  const fault = (text: string) => faults.length < 10 && faults.push(`${nowMs()}: ${text}`);

  const excuse: Truth['excuse'] = (incarnation, which = () => true) => {
    for (const dot of [...dots.values()].flat()) {
      if (dot.incarnation !== incarnation || dot.isRecorded || dot.isExcused || !which(dot.lane)) continue;
      dot.isExcused = true;
      tally.excused++;
    }
  };
  const onClaimed = (lanes: readonly number[], by: string, owners: ReadonlyMap<number, string | undefined>) => {
    for (const lane of lanes) {
      const before = owners.get(lane);
      if (before === undefined) tally.moved++;
      else if (before !== by) {
        tally.claimed++;
        excuse(before, (its) => its === lane);
      }
    }
  };
  const look = () => {
    const stored = storage.partitions.get('mail.lease/0');
    if (stored === undefined || stored.low + stored.records.length === fold.seen) return;
    for (const { offset, appendedAtMs, value } of stored.records.slice(Math.max(0, fold.seen - stored.low))) {
      const decoded = decodeRecord(value);
      if (decoded.is !== 'known') continue;
      const owners = new Map([...fold.lanes].map(([lane, { owner }]) => [lane, owner]));
      const event = fold.apply({ offset, appendedAtMs, kind: decoded.kind });
      if (event.is === 'diverged' || event.is === 'foreign') fault(`the lease log is ${event.is}`);
      if (event.is === 'claimed') onClaimed(event.lanes, event.writer.incarnation, owners);
    }
  };
  const ownerOf = (lane: number) => {
    look();
    return fold.lanes.get(lane)?.owner;
  };
  const recordOutcome = ({ queueId, recipients }: Outcome) => {
    for (const { result, addresses } of recipients)
      for (const key of addresses.map((address) => keyOf(queueId, address))) {
        if (result !== Result.DEFERRED) finals.add(key);
        if (result === Result.DELIVERED) for (const dot of dots.get(key) ?? []) dot.isRecorded = true;
      }
  };
  return {
    faults,
    tally,
    look,
    ownerOf,
    excuse,
    lanesOf(incarnation) {
      look();
      return [...fold.lanes.values()].filter(({ owner }) => owner === incarnation).map(({ lane }) => lane);
    },
    dot({ incarnation, lane, queueId, addresses }) {
      if (ownerOf(lane) !== incarnation) fault(`${incarnation} sent ${queueId} of lane ${lane}, which is ${ownerOf(lane)}'s`);
      for (const address of addresses) {
        const key = keyOf(queueId, address);
        const sent = dots.get(key) ?? [];
        dots.set(key, sent);
        sent.push({ incarnation, lane, isTaken: false, isRecorded: false, isExcused: false });
        tally.dots++;
      }
    },
    trimmed(incarnation, lane) {
      if (ownerOf(lane) !== incarnation) fault(`${incarnation} trimmed lane ${lane}, which is ${ownerOf(lane)}'s`);
    },
    take(queueId, address) {
      const key = keyOf(queueId, address);
      add(takes, key);
      const last = dots.get(key)?.at(-1);
      if (last !== undefined) last.isTaken = true;
    },
    doubt: (queueId, address) => void add(lostReplies, keyOf(queueId, address)),
    record(values) {
      for (const decoded of values.map(decodeRecord)) {
        if (decoded.is !== 'known') continue;
        if (decoded.kind.$case === 'inDoubt') tally.doubts++;
        if (decoded.kind.$case === 'outcome') recordOutcome(decoded.kind.value);
      }
    },
    taken: (queueId, address) => takes.get(keyOf(queueId, address)) ?? 0,
    unexplained() {
      const found: string[] = [];
      for (const [key, count] of takes) {
        const excused = (dots.get(key) ?? []).filter(({ isTaken, isExcused }) => isTaken && isExcused).length;
        tally.duplicates += count - 1;
        const allowed = 1 + excused + (lostReplies.get(key) ?? 0);
        if (count > allowed) found.push(`${key} was taken ${count} times, and only ${allowed} are explained`);
      }
      return found;
    },
    isConcluded: (queueId, address) => finals.has(keyOf(queueId, address)),
  };
}
