import type { TopicName } from '../port.ts';
import type { LogFiles } from './files.ts';
import { type Batch, decodeBatch, ENTRY, FORMAT_VERSION, highestSynced, type State, TOPICS } from './format.ts';
import { PartitionIndex } from './partition.ts';
import { type Segment, Segments } from './segments.ts';

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

/** The log cannot be used as it is; nothing was changed. */
export class DamagedLog extends Error {
  override readonly name = 'DamagedLog';
}

export const commitKey = (group: string, topic: TopicName, partition: number): string => JSON.stringify([group, topic, partition]);
export const commitOf = (key: string): readonly [group: string, topic: TopicName, partition: number] => JSON.parse(key);

interface Newest {
  readonly segment: Segment;
  readonly state: State;
  readonly batches: readonly Batch[];
}

async function readAll(segment: Segment): Promise<Buffer> {
  return segment.file.read(0, await segment.file.size());
}

function* batchesOf(file: Buffer, segment: number, end: number): Generator<Batch & { readonly position: number }> {
  for (let position = 0; position < end; ) {
    const batch = decodeBatch(file.subarray(0, end), { segment, position });
    if (batch === undefined) return;
    yield { ...batch, position };
    position += batch.octets;
  }
}

const damaged = (path: string, offset: number) =>
  new DamagedLog(`${path}: damaged at octet ${offset}, below what was once on disk; restore the data folder from a backup`);

/** Puts what lies behind the last whole batch aside and makes sure that what is kept is on disk. */
async function settleTail(file: Buffer, segment: Segment, files: LogFiles): Promise<string | undefined> {
  let knownSynced = 0;
  let end = 0;
  for (const batch of batchesOf(file, segment.id, file.length)) {
    knownSynced = Math.max(knownSynced, batch.synced);
    end = batch.position + batch.octets;
  }
  if (end < file.length && highestSynced(file, { segment: segment.id, position: end }) > end) throw damaged(segment.path, end);
  segment.octets = end;
  let aside: string | undefined;
  if (end < file.length) {
    aside = `${segment.path}.${end}.torn`;
    await files.remove(aside);
    const torn = await files.open(aside, { isNew: true });
    await torn.write(file.subarray(end), 0);
    await torn.sync();
    await torn.close();
  }
  // A page that was never synced may be in memory alone: written again, it is dirty again, and then synced.
  await segment.file.write(file.subarray(knownSynced, end), knownSynced);
  await segment.file.sync();
  return aside;
}

/** The newest segment whose state was written whole; younger ones were never used and are set aside. */
async function findNewest(ids: readonly number[], segments: Segments, files: LogFiles, setAside: string[]): Promise<Newest | undefined> {
  for (const id of ids.toReversed()) {
    const segment = await segments.open(id, { isNew: false });
    const file = await readAll(segment);
    const first = decodeBatch(file, { segment: id, position: 0 });
    if (first?.entries[0]?.kind === ENTRY.state) {
      const state = JSON.parse(first.entries[0].value.toString()) as State;
      if (state.version > FORMAT_VERSION) {
        throw new DamagedLog(`${segment.path}: format ${state.version}; this release knows up to ${FORMAT_VERSION}: start a newer one`);
      }
      const aside = await settleTail(file, segment, files);
      if (aside) setAside.push(aside);
      return { segment, state, batches: [...batchesOf(file, id, segment.octets)] };
    }
    if (highestSynced(file, { segment: id, position: 0 }) > 0) throw damaged(segment.path, 0);
    await segments.close(id);
    await files.rename(segment.path, `${segment.path}.torn`);
    setAside.push(`${segment.path}.torn`);
  }
  return undefined;
}

type Partitions = Map<TopicName, PartitionIndex[]>;

function indexOf(partitions: Partitions, topic: TopicName, partition: number): PartitionIndex {
  const all = partitions.get(topic) ?? [];
  partitions.set(topic, all);
  for (let at = all.length; at <= partition; at++) all.push(new PartitionIndex());
  return all[partition] as PartitionIndex;
}

/** Takes the records of a segment that are not below their low marks. */
function indexRecords(batches: Iterable<Batch>, segment: Segment, partitions: Partitions): void {
  for (const { entries } of batches) {
    for (const { kind, topic, partition, offset, atMs, value, valueAt } of entries) {
      const name = TOPICS[topic];
      if (kind !== ENTRY.record || name === undefined) continue;
      const index = indexOf(partitions, name, partition);
      if (offset < index.low) continue;
      if (offset !== index.high)
        throw new DamagedLog(`${segment.path}: ${name}/${partition} goes on at ${offset} instead of ${index.high}: a segment is missing`);
      index.add({ segment: segment.id, position: valueAt, octets: value.length, appendedAtMs: atMs });
      segment.live++;
    }
  }
}

/** Checks and takes a whole older segment of known length. */
async function indexSegment(segments: Segments, known: { id: number; octets: number }, partitions: Partitions): Promise<void> {
  const segment = await segments.open(known.id, { isNew: false });
  const file = await segment.file.read(0, known.octets);
  for (const batch of batchesOf(file, known.id, known.octets)) {
    indexRecords([batch], segment, partitions);
    segment.octets += batch.octets;
  }
  if (segment.octets !== known.octets) throw damaged(segment.path, segment.octets);
}

/** Low marks and commits that are in force: the newest state and what came after it. */
function applyMarks({ state, batches }: Newest, partitions: Partitions, commits: Map<string, number>): void {
  for (const { topic, partition, low, atMs } of state.partitions) {
    const index = indexOf(partitions, topic, partition);
    index.reset(low, low);
    index.lastAppendedAtMs = atMs;
  }
  for (const { group, topic, partition, offset } of state.commits) commits.set(commitKey(group, topic, partition), offset);
  for (const { entries } of batches) {
    for (const { kind, topic, partition, offset, value } of entries) {
      const name = TOPICS[topic];
      if (name === undefined) continue;
      if (kind === ENTRY.lowMark) {
        const index = indexOf(partitions, name, partition);
        if (offset > index.low) index.reset(offset, offset);
      }
      if (kind === ENTRY.commit) commits.set(commitKey(value.toString(), name, partition), offset);
    }
  }
}

/**
 * Reads the folder: every batch of every needed segment is checked. Cost: the folder's octets, once.
 *
 * @throws DamagedLog when something that was once on disk is missing or changed, with file and octet
 */
export async function recover(folder: string, files: LogFiles): Promise<Recovered> {
  const names = await files.list(folder);
  const ids = names
    .flatMap((name) => /^(\d{12})\.seg$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((one, other) => one - other);
  const segments = new Segments(folder, files);
  const setAside: string[] = [];
  const partitions: Partitions = new Map();
  const commits = new Map<string, number>();
  const newest = await findNewest(ids, segments, files, setAside);
  if (newest === undefined && ids.length > 0)
    throw new DamagedLog(`${folder}: no segment can be read; restore the data folder from a backup`);
  const nextSegment = (ids.at(-1) ?? 0) + 1;
  if (newest === undefined) return { segments, nextSegment, partitions, commits, incarnation: 1, setAside };

  applyMarks(newest, partitions, commits);
  for (const [id, octets] of newest.state.segments) if (ids.includes(id)) await indexSegment(segments, { id, octets }, partitions);
  indexRecords(newest.batches, newest.segment, partitions);
  for (const { topic, partition, high } of newest.state.partitions) {
    const index = indexOf(partitions, topic, partition);
    if (index.high < high)
      throw new DamagedLog(`${folder}: ${topic}/${partition} ends at ${index.high}, ${high} were written: a segment is missing`);
    index.next = index.high;
  }
  for (const all of partitions.values()) for (const index of all) index.next = index.high;
  const listed = new Set(newest.state.segments.map(([id]) => id));
  for (const id of ids) if (id < newest.segment.id && !listed.has(id)) await files.remove(segments.path(id));
  await segments.removeDead(newest.segment.id);
  return { segments, nextSegment, partitions, commits, incarnation: newest.state.incarnation, setAside };
}
