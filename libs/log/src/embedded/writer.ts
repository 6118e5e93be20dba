import { AppendFailed } from '../port.ts';
import { BATCH_HEADER_OCTETS, type Entry, encodeBatch, entryOctets, type State, stateEntry } from './format.ts';
import type { Segment, Segments } from './segments.ts';

/** Something that wants to be in the next batch. */
export interface Pending {
  /** Called when its batch is made up: offsets are given out here. */
  readonly entries: () => readonly Entry[];
  /** Called when the batch is on disk, with the place of each value in the segment. */
  readonly durable: (segment: Segment, valuePositions: readonly number[]) => void;
  readonly failed: (error: AppendFailed) => void;
  /** About as many octets as its entries will have. */
  readonly octets: number;
}

export interface WriterDeps {
  readonly segments: Segments;
  readonly nextSegment: number;
  readonly segmentOctets: number;
  /** State that a new segment starts with; older segments that have live records are named in it. */
  readonly state: (segments: State['segments']) => State;
  /** Entries that ride along with every batch, and what to do when they are on disk. */
  readonly riders: () => Pick<Pending, 'entries' | 'durable' | 'failed'> | undefined;
  readonly observe: (batch: BatchSeen) => void;
  readonly onFault: (error: unknown, path: string) => void;
}

export interface BatchSeen {
  readonly entries: number;
  readonly octets: number;
  readonly writeMs: number;
}

/** Octets of one batch, about; what arrives meanwhile waits for the next. */
const BATCH_MAX_OCTETS = 4 * 1024 ** 2;

/**
 * Group commit: one write and one fdatasync for everything that waits, one batch at a time. A write or sync that fails ends
 * its segment at the length that was last synced: that file is never written or synced again, and the next batch goes to
 * a new segment whose state tells that length. Until a new segment is on disk every batch fails.
 */
export class Writer {
  readonly #deps: WriterDeps;
  #queue: Pending[] = [];
  #current: Segment | undefined;
  #nextSegment: number;
  #running: Promise<void> | undefined;

  constructor(deps: WriterDeps) {
    this.#deps = deps;
    this.#nextSegment = deps.nextSegment;
  }

  add(pending: Pending): void {
    this.#queue.push(pending);
    this.#running ??= this.#run();
  }

  /** Writes the riders even when nothing else waits; resolves when all that was added is decided. */
  async flush(): Promise<void> {
    if (this.#deps.riders() !== undefined) this.add({ entries: () => [], durable: () => {}, failed: () => {}, octets: 0 });
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    // What is added in this turn of the event loop goes into one batch.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#writeBatch(this.#take());
    this.#running = undefined;
  }

  #take(): Pending[] {
    let octets = 0;
    let taken = 0;
    for (; taken < this.#queue.length && octets < BATCH_MAX_OCTETS; taken++) octets += this.#queue[taken]?.octets ?? 0;
    if (taken === this.#queue.length) {
      const all = this.#queue;
      this.#queue = [];
      return all;
    }
    return this.#queue.splice(0, taken);
  }

  async #writeBatch(taken: readonly Pending[]): Promise<void> {
    const { observe } = this.#deps;
    const started = performance.now();
    const segment = await this.#segment();
    if (segment === undefined) {
      for (const { failed } of taken) failed(new AppendFailed('failed', { inDoubt: false }));
      return;
    }
    const riders = this.#deps.riders();
    const members = riders ? [...taken, riders] : taken;
    const entries = members.map((member) => member.entries());
    const all = entries.flat();
    if (all.length === 0) return;
    const start = segment.octets;
    const batch = encodeBatch(all, { segment: segment.id, position: start }, start);
    try {
      await segment.file.write(batch, start);
      await segment.file.sync();
    } catch (cause) {
      this.#end(segment, cause);
      for (const { failed } of members) failed(new AppendFailed('failed', { inDoubt: true, cause }));
      return;
    }
    segment.octets += batch.length;
    if (segment.octets >= this.#deps.segmentOctets) this.#current = undefined;
    let position = start + BATCH_HEADER_OCTETS;
    members.forEach((member, at) => {
      const positions = (entries[at] ?? []).map((entry) => {
        const valueAt = position + entryOctets(entry) - entry.value.length;
        position += entryOctets(entry);
        return valueAt;
      });
      member.durable(segment, positions);
    });
    observe({ entries: all.length, octets: batch.length, writeMs: performance.now() - started });
  }

  #end(segment: Segment, cause: unknown): void {
    this.#current = undefined;
    this.#deps.onFault(cause, segment.path);
  }

  /** The segment to write to; a new one where there is none, `undefined` when it cannot be made. */
  async #segment(): Promise<Segment | undefined> {
    if (this.#current) return this.#current;
    const { segments, state, onFault } = this.#deps;
    const id = this.#nextSegment++;
    try {
      const older = segments
        .all()
        .filter(({ live }) => live > 0)
        .map(({ id: one, octets }) => [one, octets] as const);
      const segment = await segments.open(id, { isNew: true });
      const batch = encodeBatch([stateEntry(state(older))], { segment: id, position: 0 }, 0);
      await segment.file.write(batch, 0);
      await segment.file.sync();
      segment.octets = batch.length;
      this.#current = segment;
    } catch (cause) {
      onFault(cause, segments.path(id));
      await segments.discard(id).catch((error: unknown) => onFault(error, segments.path(id)));
      return undefined;
    }
    await segments.removeDead(id).catch((error: unknown) => onFault(error, segments.path(id)));
    return this.#current;
  }

  /** Newest segment that can be relied on; older ones without live records may go. */
  get newestSegment(): number {
    return this.#current?.id ?? 0;
  }
}
