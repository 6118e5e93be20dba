import type { TopicName } from '../port.ts';
import { commitKey } from './commits.ts';
import { DamagedLog, damagedAt } from './damage.ts';
import { isFull, type LogFiles } from './files.ts';
import { type Batch, decodeBatch, ENTRY, FORMAT_VERSION, lastBatchFrom, type State, TOPICS, wholeOctets } from './format.ts';
import { type FoundRun, readIndex } from './index-file.ts';
import { PartitionIndex } from './partition.ts';
import { idOf, type Segment, Segments } from './segments.ts';

/** The log as it was durable when its last process ended. */
export interface Recovered {
  readonly segments: Segments;
  readonly nextSegment: number;
  readonly partitions: ReadonlyMap<TopicName, readonly PartitionIndex[]>;
  /** By `commitKey`. */
  readonly commits: Map<string, number>;
  readonly incarnation: number;
  /** Files that were set aside: tails and segments that never were synced. */
  readonly setAside: readonly string[];
}

type Partitions = Map<TopicName, PartitionIndex[]>;

/** A first batch that never was synced is no longer than this, and nothing is cleared before it is. */
const UNUSED_MAX_OCTETS = 1024 ** 2;

interface Newest {
  readonly segment: Segment;
  readonly state: State;
  readonly batches: readonly Batch[];
  /** The whole file, without the zeros behind its last batch. */
  readonly file: Buffer;
  /** Where its last whole batch starts: everything below was synced. */
  readonly syncedOctets: number;
}

function* batchesOf(file: Buffer, segment: number, end: number): Generator<Batch & { readonly position: number }> {
  for (let position = 0; position < end; ) {
    const batch = decodeBatch(file.subarray(0, end), { segment, position });
    if (batch === undefined) return;
    yield { ...batch, position };
    position += batch.octets;
  }
}

/** What was cleared ahead and never used is no part of a tail. */
function octetsBeforeZeros(file: Buffer): number {
  let octets = file.length;
  while (octets > 0 && file[octets - 1] === 0) octets--;
  return octets;
}

/** `undefined` when the segment's first batch was never whole: then it was never used. */
function decodeNewest(segment: Segment, whole: Buffer): Newest | undefined {
  const batches: Batch[] = [];
  let syncedOctets = 0;
  for (const batch of batchesOf(whole, segment.id, whole.length)) {
    syncedOctets = batch.position;
    segment.octets = batch.position + batch.octets;
    batches.push(batch);
  }
  const { octets: end, path } = segment;
  const file = whole.subarray(0, Math.max(end, octetsBeforeZeros(whole)));
  if (lastBatchFrom(file, { segment: segment.id, position: end }) > end) throw damagedAt(path, end);
  const first = batches[0]?.entries[0];
  if (first === undefined && whole.length <= UNUSED_MAX_OCTETS) return undefined;
  if (first?.kind !== ENTRY.state) throw damagedAt(path, 0);
  const state = JSON.parse(first.value.toString()) as State;
  if (state.version > FORMAT_VERSION)
    throw new DamagedLog(`${path}: format ${state.version}; this release knows up to ${FORMAT_VERSION}: start a newer one`);
  return { segment, state, batches, file, syncedOctets };
}

/** The newest segment whose state was written whole, and the ids of younger ones. */
async function findNewest(ids: readonly number[], segments: Segments): Promise<{ newest: Newest | undefined; unused: readonly number[] }> {
  const unused: number[] = [];
  for (const id of ids.toReversed()) {
    const segment = await segments.open(id, { isNew: false });
    const newest = decodeNewest(segment, await segment.file.read(0, await segment.file.size()));
    if (newest) return { newest, unused };
    await segments.close(id);
    unused.push(id);
  }
  return { newest: undefined, unused };
}

function indexOf(partitions: Partitions, topic: TopicName, partition: number): PartitionIndex {
  const all = partitions.get(topic) ?? [];
  partitions.set(topic, all);
  for (let at = all.length; at <= partition; at++) all.push(new PartitionIndex(TOPICS.indexOf(topic), at));
  return all[partition] as PartitionIndex;
}

/** What is found, segment after segment. */
interface Taking {
  readonly segments: Segments;
  readonly files: LogFiles;
  readonly partitions: Partitions;
  /** Segments that the newest one names and that are not there: none of their records may be needed. */
  readonly missing: readonly string[];
}

function holeAt(offset: number, { topic, partition, high }: PartitionIndex, { missing }: Taking): DamagedLog {
  const files = missing.join(', ') || 'no file that is known';
  return new DamagedLog(`${TOPICS[topic]}/${partition} lacks offsets ${high} to ${offset - 1}; missing: ${files}; restore from a backup`);
}

/** Takes the records of a segment that are not below their low marks. */
function takeRecords(batch: Batch, segment: Segment, taking: Taking): void {
  for (const { kind, topic, partition, offset, atMs, value, valueAt } of batch.entries) {
    const name = TOPICS[topic];
    if (kind !== ENTRY.record || name === undefined) continue;
    const index = indexOf(taking.partitions, name, partition);
    index.lastAppendedAtMs = Math.max(index.lastAppendedAtMs, atMs);
    if (offset < index.low) continue;
    if (offset !== index.high) throw holeAt(offset, index, taking);
    index.add({ segment: segment.id, position: valueAt, octets: value.length });
    segment.live++;
  }
}

function takeRuns(runs: readonly FoundRun[], segment: Segment, taking: Taking): void {
  for (const run of runs) {
    const name = TOPICS[run.topic];
    if (name === undefined) continue;
    const index = indexOf(taking.partitions, name, run.partition);
    const end = run.first + run.positions.length;
    if (end <= index.low) continue;
    if (Math.max(run.first, index.low) !== index.high) throw holeAt(run.first, index, taking);
    segment.live += end - index.high;
    index.addRun(segment.id, run);
  }
}

interface KnownSegment {
  readonly id: number;
  readonly octets: number;
  /** Checked whole; else only its length is, and a record when it is read. */
  readonly isChecked: boolean;
}

/** Takes an older segment of known length: by its index file, else by what is in it. */
async function takeSegment(known: KnownSegment, taking: Taking): Promise<void> {
  const { segments, files } = taking;
  const segment = await segments.open(known.id, { isNew: false });
  const size = await segment.file.size();
  if (size < known.octets) throw damagedAt(segment.path, size);
  const runs = await readIndex(segments.path(known.id, 'idx'), files, known);
  const file = known.isChecked || !runs ? await segment.file.read(0, known.octets) : undefined;
  const end = file ? wholeOctets(file, known.id) : known.octets;
  if (end !== known.octets) throw damagedAt(segment.path, end);
  segment.octets = known.octets;
  segment.isIndexed = runs !== undefined;
  if (runs) takeRuns(runs, segment, taking);
  else if (file) for (const batch of batchesOf(file, known.id, known.octets)) takeRecords(batch, segment, taking);
}

/** The older segments that are there, the oldest first; the youngest of them are checked, up to so many octets. */
function knownSegments({ state }: Newest, ids: readonly number[], checkedOctets: number): KnownSegment[] {
  let left = checkedOctets;
  const known: KnownSegment[] = [];
  for (const [id, octets] of state.segments.toReversed()) {
    left -= octets;
    if (ids.includes(id)) known.push({ id, octets, isChecked: left >= 0 });
  }
  return known.reverse();
}

/** Low marks and commits that are in force: the newest state and what came after it. */
function takeMarks({ state, batches }: Newest, partitions: Partitions, commits: Map<string, number>): void {
  for (const { topic, partition, low, atMs } of state.partitions) {
    const index = indexOf(partitions, topic, partition);
    index.reset(low);
    index.lastAppendedAtMs = atMs;
  }
  for (const { group, topic, partition, offset } of state.commits) commits.set(commitKey(group, topic, partition), offset);
  for (const { kind, topic, partition, offset, value } of batches.flatMap(({ entries }) => entries)) {
    const name = TOPICS[topic];
    if (name === undefined) continue;
    if (kind === ENTRY.lowMark) {
      const index = indexOf(partitions, name, partition);
      // Trims that pass each other are written as they came.
      if (offset > index.low) index.reset(offset);
    }
    if (kind === ENTRY.commit) commits.set(commitKey(value.toString(), name, partition), offset);
  }
}

/** Where the tail is: on a full disk it stays in its segment, and goes with it. */
async function setTailAside({ path: segmentPath, octets: end }: Segment, file: Buffer, files: LogFiles): Promise<string> {
  const path = `${segmentPath}.${end}.torn`;
  await files.remove(path);
  try {
    const torn = await files.open(path, { isNew: true });
    try {
      await torn.write(file.subarray(end), 0);
    } finally {
      await torn.close();
    }
    return path;
  } catch (error) {
    await files.remove(path);
    if (isFull(error)) return segmentPath;
    throw error;
  }
}

/** Puts what lies behind the last whole batch aside and makes sure that what is kept is on disk. */
async function settleTail({ segment, file, syncedOctets }: Newest, files: LogFiles): Promise<readonly string[]> {
  const end = segment.octets;
  const aside = end < file.length ? [await setTailAside(segment, file, files)] : [];
  // A page that was never synced may be in memory alone: written again, it is dirty again, and then synced.
  await segment.file.write(file.subarray(syncedOctets, end), syncedOctets);
  return aside;
}

/** Throws where the partitions do not reach what the newest state says was written. */
function checkComplete({ state }: Newest, taking: Taking): void {
  for (const { topic, partition, high } of state.partitions) {
    const index = indexOf(taking.partitions, topic, partition);
    if (index.high < high) throw holeAt(high, index, taking);
  }
}

/** Takes away what the newest segment does not need, and puts aside what was never used. Only here something is changed. */
async function tidy(found: { newest: Newest; unused: readonly number[]; names: readonly string[] }, segments: Segments, files: LogFiles) {
  const { newest, unused, names } = found;
  const setAside = [...(await settleTail(newest, files))];
  for (const id of unused) {
    await files.rename(segments.path(id), `${segments.path(id)}.torn`);
    setAside.push(`${segments.path(id)}.torn`);
  }
  const isNeeded = (id: number) => segments.get(id) !== undefined || unused.includes(id);
  for (const name of names) {
    const id = idOf(name, 'seg') ?? idOf(name, 'idx');
    if (id !== undefined && !isNeeded(id)) await segments.remove(id);
  }
  await segments.removeDead(newest.segment.id);
  return setAside;
}

export interface RecoverOptions {
  readonly folder: string;
  readonly files: LogFiles;
  readonly checkedOctets: number;
}

/**
 * Reads the folder. The newest segment is read and every batch of it checked, and of older ones the youngest up to
 * `checkedOctets`; of those before them the index file is read, the length checked, and a record is checked when it is read.
 * Cost: what is checked and 8 octets for each older record; where an index file is missing, that segment too. A newest
 * segment that somebody took away is not seen.
 *
 * @throws DamagedLog when something that was once on disk is missing or changed; nothing was changed then
 */
export async function recover(options: RecoverOptions): Promise<Recovered> {
  const segments = new Segments(options.folder, options.files);
  try {
    return await recoverInto(segments, options);
  } catch (error) {
    await segments.closeAll();
    throw error;
  }
}

async function recoverInto(segments: Segments, { folder, files, checkedOctets }: RecoverOptions): Promise<Recovered> {
  const names = await files.list(folder);
  const ids = names.flatMap((name) => idOf(name, 'seg') ?? []).sort((one, other) => one - other);
  const partitions: Partitions = new Map();
  const commits = new Map<string, number>();
  const { newest, unused } = await findNewest(ids, segments);
  if (newest === undefined) {
    // The very first segment may have been torn: then nothing was ever appended. Its number stays the sign of that.
    if (ids.length > 0 && ids[0] !== 1) throw new DamagedLog(`${folder}: no segment can be read; restore the data folder from a backup`);
    for (const id of unused) await files.rename(segments.path(id), `${segments.path(id)}.torn`);
    return { segments, nextSegment: 1, partitions, commits, incarnation: 1, setAside: unused.map((id) => `${segments.path(id)}.torn`) };
  }
  takeMarks(newest, partitions, commits);
  const missing = newest.state.segments.filter(([id]) => !ids.includes(id)).map(([id]) => segments.path(id));
  const taking = { segments, files, partitions, missing };
  for (const known of knownSegments(newest, ids, checkedOctets)) await takeSegment(known, taking);
  for (const batch of newest.batches) takeRecords(batch, newest.segment, taking);
  checkComplete(newest, taking);
  for (const all of partitions.values()) for (const index of all) index.next = index.high;
  const setAside = await tidy({ newest, unused, names }, segments, files);
  const nextSegment = (ids.at(-1) ?? 0) + 1;
  return { segments, nextSegment, partitions, commits, incarnation: newest.state.incarnation, setAside };
}
