/** Recipients, each counted once however often a message was written or routed. */
export interface AccountingTotals {
  /** Of messages in `mail.in` and `mail.in.bulk`. */
  accepted: number;
  /** Waiting ones that were found in the lanes at the first start, their acceptance being no longer in the log. */
  carriedOver: number;
  /** What aliases and lists made of the accepted ones, less the accepted ones themselves. */
  expanded: number;
  delivered: number;
  bounced: number;
  expired: number;
  discarded: number;
  /** Of messages in `mail.dead`. */
  dead: number;
}

/** A message that lanes have seen in part. */
interface Mentioned {
  /** Recipients after expansion, over all lanes, as the last record said. */
  expected: number;
  /** "lane address", each once. */
  readonly recipients: Set<string>;
  /** How many of them were new to their lane. */
  admitted: number;
}

interface Commit {
  readonly offset: number;
  readonly laneEnds: readonly number[];
}

export interface OverdueMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Recipients that are in no lane. */
  readonly missing: number;
}

export interface PartitionCheckpoint {
  readonly topic: string;
  readonly partition: number;
  /** Lowest offset that is not done; reading starts here. */
  readonly position: number;
  /** Above `position`, and done all the same. */
  readonly done: readonly number[];
  readonly open: readonly (readonly [offset: number, expected: number, admitted: number, recipients: readonly string[]])[];
  readonly overdue: readonly (readonly [offset: number, missing: number])[];
}

export interface Mention {
  readonly expected: number;
  readonly recipients: readonly string[];
  /** How many of them were new to their lane. */
  readonly admitted: number;
}

/** More overdue messages than this are counted, but no longer known one by one. */
const OVERDUE_KEPT = 10_000;
const DONE = -1;

/** Accepted recipients by offset, from the lowest offset that is not done; four octets or so each. */
function createWindow(start: number) {
  const counts: number[] = [];
  let head = 0;
  let base = start;
  return {
    get base() {
      return base;
    },
    get position() {
      return base + counts.length - head;
    },
    push: (count: number) => counts.push(count),
    /** `undefined` when not yet read. */
    at: (offset: number): number | undefined => (offset < base ? DONE : counts[head + offset - base]),
    finish(offset: number) {
      counts[head + offset - base] = DONE;
      while (counts[head] === DONE) {
        head++;
        base++;
      }
      if (head > 1024 && head * 2 > counts.length) head -= counts.splice(0, head).length;
    },
  };
}

/** The messages of one partition of an input topic between acceptance and the last lane. */
export interface InPartition {
  readonly topic: string;
  readonly partition: number;
  readonly totals: AccountingTotals;
  readonly window: ReturnType<typeof createWindow>;
  readonly doneAbove: Set<number>;
  /** Dead ones that were not read yet. */
  readonly aside: Set<number>;
  readonly mentions: Map<number, Mentioned>;
  /** Recipients that are missing, by offset. */
  readonly overdue: Map<number, number>;
  readonly commits: Commit[];
  /** Recipients of messages that were read and are not complete. */
  unrouted: number;
}

export function createPartition(start: PartitionCheckpoint, totals: AccountingTotals): InPartition {
  const mentions = start.open.map(([offset, expected, admitted, recipients]) => {
    return [offset, { expected, admitted, recipients: new Set(recipients) }] as const;
  });
  return {
    topic: start.topic,
    partition: start.partition,
    totals,
    window: createWindow(start.position),
    doneAbove: new Set(start.done),
    aside: new Set(),
    mentions: new Map(mentions),
    overdue: new Map(start.overdue),
    commits: [],
    unrouted: 0,
  };
}

function close(partition: InPartition, offset: number, count: number): void {
  partition.unrouted -= count;
  partition.mentions.delete(offset);
  partition.window.finish(offset);
}

function closeIfComplete(partition: InPartition, offset: number): void {
  const count = partition.window.at(offset);
  const seen = partition.mentions.get(offset);
  if (count === undefined || seen === undefined || seen.recipients.size < seen.expected) return;
  // What the lanes knew before was accepted before: this record is a second copy of another one.
  if (seen.admitted < seen.recipients.size) partition.totals.accepted -= count;
  else partition.totals.expanded -= count;
  close(partition, offset, count);
}

function setMissing({ totals, overdue, mentions }: InPartition, offset: number, missing: number): void {
  totals.expanded += missing - (overdue.get(offset) ?? 0);
  overdue.set(offset, missing);
  const [oldest = offset] = overdue.keys();
  const gone = missing === 0 ? offset : oldest;
  if (missing > 0 && overdue.size <= OVERDUE_KEPT) return;
  overdue.delete(gone);
  mentions.delete(gone);
}

/** @throws RangeError when records were left out */
export function accept(partition: InPartition, offset: number, recipients: number): void {
  const { window, totals } = partition;
  if (offset < window.position) return;
  if (offset > window.position)
    throw new RangeError(`${partition.topic}/${partition.partition}: record ${offset} where ${window.position} was expected`);
  window.push(recipients);
  if (partition.doneAbove.delete(offset)) {
    window.finish(offset);
    return;
  }
  totals.accepted += recipients;
  partition.unrouted += recipients;
  if (partition.aside.delete(offset)) setAside(partition, offset);
  else closeIfComplete(partition, offset);
}

export function mention(partition: InPartition, offset: number, { expected, recipients, admitted }: Mention): void {
  const isLate = partition.overdue.has(offset);
  if (!isLate && (partition.window.at(offset) === DONE || partition.doneAbove.has(offset))) return;
  const seen = partition.mentions.get(offset) ?? { expected, recipients: new Set<string>(), admitted: 0 };
  seen.expected = expected;
  seen.admitted += admitted;
  for (const recipient of recipients) seen.recipients.add(recipient);
  partition.mentions.set(offset, seen);
  if (isLate) setMissing(partition, offset, Math.max(0, seen.expected - seen.recipients.size));
  else closeIfComplete(partition, offset);
}

export function setAside(partition: InPartition, offset: number): void {
  const { window, totals, overdue } = partition;
  const count = window.at(offset);
  const missing = overdue.get(offset);
  if (missing !== undefined) {
    totals.dead += missing;
    overdue.delete(offset);
    partition.mentions.delete(offset);
  } else if (count === undefined) partition.aside.add(offset);
  else if (count !== DONE) {
    totals.dead += count;
    close(partition, offset, count);
  }
}

export function commit({ commits }: InPartition, next: Commit): void {
  // The oldest one that still waits, and the newest: those between say nothing that these do not.
  commits.splice(1, commits.length - 1, next);
}

/** Routing is done with it, and the lanes were read as far: whoever is in none of them is missing. */
function passOver(partition: InPartition, offset: number, count: number): void {
  const seen = partition.mentions.get(offset);
  partition.totals.expanded -= count;
  close(partition, offset, count);
  if (seen !== undefined) partition.mentions.set(offset, seen);
  setMissing(partition, offset, seen === undefined ? count : seen.expected - seen.recipients.size);
}

export function lanesMoved(partition: InPartition, lanes: readonly { readonly position: number }[]): void {
  const { window, commits } = partition;
  for (let first = commits[0]; first !== undefined; first = commits[0]) {
    if (window.position < first.offset || first.laneEnds.some((end, lane) => (lanes[lane]?.position ?? 0) < end)) return;
    for (let offset = window.base; offset < first.offset; offset++) {
      const count = window.at(offset);
      if (count !== undefined && count !== DONE) passOver(partition, offset, count);
    }
    commits.shift();
  }
}

export function listOverdue({ topic, partition, overdue }: InPartition, limit: number): readonly OverdueMessage[] {
  return [...overdue].slice(0, Math.max(0, limit)).map(([offset, missing]) => ({ topic, partition, offset, missing }));
}

export function formatPartition({ topic, partition, window, doneAbove, mentions, overdue }: InPartition): PartitionCheckpoint {
  const done: number[] = [...doneAbove];
  for (let offset = window.base; offset < window.position; offset++) if (window.at(offset) === DONE) done.push(offset);
  const open = [...mentions].map(([offset, seen]) => [offset, seen.expected, seen.admitted, [...seen.recipients]] as const);
  return { topic, partition, position: window.base, done, open, overdue: [...overdue] };
}
