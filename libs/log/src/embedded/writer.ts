import { AppendFailed } from '../port.ts';
import { type Clearing, createClearing } from './clearing.ts';
import { isFull } from './files.ts';
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
  /** Octets cleared at once ahead of the batches; 0: never. */
  readonly clearOctets: number;
  /** State that a new segment starts with; older segments that have live records are named in it. */
  readonly state: (segments: State['segments']) => State;
  /** Entries that ride along with every batch, and what to do when they are on disk. */
  readonly riders: () => Pick<Pending, 'entries' | 'durable' | 'failed'> | undefined;
  /** Called with each older segment that has live records, when a new one is on disk. */
  readonly ended: (segment: Segment) => void;
  readonly observe: (batch: BatchSeen) => void;
  readonly onFault: (error: unknown, path: string) => void;
}

/** A batch that is on disk. */
export interface BatchSeen {
  /** Records, low marks and commits. */
  readonly entries: number;
  readonly octets: number;
  /** From the start of the write to the end of the sync. */
  readonly writeMs: number;
  /** The same and the wait before it: as long as the slowest append of the batch took. */
  readonly appendMs: number;
}

/** Octets of one batch, about; what arrives meanwhile waits for the next. */
const BATCH_MAX_OCTETS = 4 * 1024 ** 2;
const NO_OCTETS = Buffer.alloc(0);

/**
 * Group commit: one synchronous write for everything that waits, one batch at a time. A write that fails ends
 * its segment at the length that was last synced: that file is never written or synced again, and the next batch goes to
 * a new segment whose state tells that length. Until a new segment is on disk every batch fails; each tries anew.
 */
export class Writer {
  readonly #deps: WriterDeps;
  #queue: Pending[] = [];
  /** Instant since which the first of the queue waits. */
  #waitsSinceMs = 0;
  #current: Segment | undefined;
  #nextSegment: number;
  #running: Promise<void> | undefined;
  readonly #clearing: Clearing;
  /** Whether a segment's end is told by no newer one yet: a kill now, and its refused records come back. */
  #hasFailed = false;
  #isClosed = false;

  constructor(deps: WriterDeps) {
    this.#deps = deps;
    this.#nextSegment = deps.nextSegment;
    const onFault = (cause: unknown, segment: Segment): void => {
      deps.onFault(cause, segment.path);
      // Nothing is written behind a write that failed; a full disk has told no more than that there is no room ahead.
      if (!isFull(cause) && this.#current === segment) this.#current = undefined;
    };
    this.#clearing = createClearing({ clearOctets: deps.clearOctets, segmentOctets: deps.segmentOctets, onFault });
  }

  add(pending: Pending): void {
    if (this.#isClosed) {
      pending.failed(new AppendFailed('closed', { inDoubt: false }));
      return;
    }
    if (this.#queue.length === 0) this.#waitsSinceMs = performance.now();
    this.#queue.push(pending);
    this.#running ??= this.#run();
  }

  /**
   * Resolves when all that was added, and the riders, are on disk or have failed, and what a failed batch left in its file
   * counts no more.
   *
   * @throws AppendFailed when the last batch, with the riders, failed
   */
  flush(): Promise<void> {
    if (!this.#running && !this.#deps.riders() && !this.#hasFailed) return Promise.resolve();
    return new Promise((resolve, reject) => this.add({ entries: () => [], durable: () => resolve(), failed: reject, octets: 0 }));
  }

  /** Writes what waits and takes no more. */
  async close(): Promise<void> {
    const flushed = this.flush().catch(() => {
      // Told to `onFault`, and to those who wait.
    });
    this.#isClosed = true;
    await flushed;
    await this.#running;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async #run(): Promise<void> {
    // Everything that this turn of the event loop adds, by whatever socket's event, goes into one batch. An idle loop turns at once.
    do {
      await new Promise(setImmediate);
      await this.#writeBatch(this.#take());
    } while (this.#queue.length > 0);
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
    const { riders, segmentOctets, observe, onFault } = this.#deps;
    const addedAtMs = this.#waitsSinceMs;
    const startedAtMs = performance.now();
    const segment = await this.#segment();
    const ride = riders();
    const members = ride ? [...taken, ride] : taken;
    const fail = (error: AppendFailed) => {
      for (const { failed } of members) failed(error);
    };
    if (segment instanceof AppendFailed) return fail(segment);
    const entries = members.map((member) => member.entries());
    const all = entries.flat();
    const start = segment.octets;
    const batch = all.length === 0 ? NO_OCTETS : encodeBatch(all, { segment: segment.id, position: start });
    try {
      await this.#clearing.pending(segment, start + batch.length);
      if (this.#current !== segment) throw new Error('zeros ahead of the batch could not be written');
      if (batch.length > 0) await segment.file.write(batch, start);
    } catch (cause) {
      this.#current = undefined;
      this.#hasFailed = true;
      onFault(cause, segment.path);
      return fail(new AppendFailed(isFull(cause) ? 'full' : 'failed', { inDoubt: true, cause }));
    }
    segment.octets += batch.length;
    if (segment.octets >= segmentOctets) this.#current = undefined;
    else this.#clearing.follow(segment);
    let position = start + BATCH_HEADER_OCTETS;
    members.forEach((member, at) => {
      const positions = (entries[at] ?? []).map((entry) => {
        const valueAt = position + entryOctets(entry) - entry.value.length;
        position += entryOctets(entry);
        return valueAt;
      });
      member.durable(segment, positions);
    });
    const nowMs = performance.now();
    if (all.length > 0) observe({ entries: all.length, octets: batch.length, writeMs: nowMs - startedAtMs, appendMs: nowMs - addedAtMs });
  }

  /** The segment to write to; a new one where there is none. */
  async #segment(): Promise<Segment | AppendFailed> {
    if (this.#current) return this.#current;
    const { segments, state, ended, onFault } = this.#deps;
    const id = this.#nextSegment++;
    const tell = (error: unknown) => onFault(error, segments.path(id));
    const older = segments.all().filter(({ live }) => live > 0);
    try {
      const segment = await segments.open(id, { isNew: true });
      const batch = encodeBatch([stateEntry(state(older.map(({ id: one, octets }) => [one, octets])))], { segment: id, position: 0 });
      await segment.file.write(batch, 0);
      segment.octets = batch.length;
      this.#current = segment;
      this.#hasFailed = false;
    } catch (cause) {
      tell(cause);
      await segments.remove(id).then(() => {
        this.#nextSegment = id;
      }, tell);
      return new AppendFailed(isFull(cause) ? 'full' : 'failed', { inDoubt: false, cause });
    }
    await segments.removeDead(id).catch(tell);
    for (const segment of older) ended(segment);
    return this.#current;
  }

  /** The newest segment, when it can be relied on: older ones without live records may go. */
  get newestSegment(): number {
    return this.#current?.id ?? 0;
  }
}
