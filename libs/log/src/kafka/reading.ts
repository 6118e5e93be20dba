import { type LogRecord, OffsetGap } from '../port.ts';
import { type PartitionRef, partitionKey } from './messages.ts';

/** A partition that is read on and on from an offset. Records are consecutive; what is not, is a gap. */
export interface Subscription {
  /**
   * What comes next, at least one record; waits for it. Undefined when the signal has aborted or the log is closed.
   *
   * @throws OffsetGap, DamagedLog: the subscription is over then
   */
  next(): Promise<readonly LogRecord[] | undefined>;
  close(): void;
}

export interface ReadingDeps {
  readonly signal: AbortSignal;
  /** Called when the buffer was emptied. */
  readonly onEmptied: (reading: Reading, octets: number) => void;
  readonly onClosed: (reading: Reading) => void;
}

/** The buffer of one subscription: filled by fetches, emptied by its reader. */
export class Reading implements Subscription {
  readonly at: PartitionRef;
  readonly key: string;
  /** Offset that is fetched next. */
  position: number;
  /** Append time of the newest record that was fetched. */
  appendedAtMs = 0;
  /** Octets of values in the buffer. */
  octets = 0;
  /** Part of a request that is on its way. */
  isAsked = false;
  /** No fetch before this instant. */
  notBeforeMs = 0;
  readonly #deps: ReadingDeps;
  readonly #onAbort = () => this.wake();
  #buffered: LogRecord[] = [];
  #failure: unknown;
  #isClosed = false;
  #wake = () => {};

  constructor(at: PartitionRef, from: number, deps: ReadingDeps) {
    this.at = at;
    this.key = partitionKey(at);
    this.position = from;
    this.#deps = deps;
    deps.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  get isOver(): boolean {
    return this.#isClosed || this.#failure !== undefined;
  }

  wake(): void {
    this.#wake();
  }

  fail(failure: unknown): void {
    this.#failure ??= failure;
    this.wake();
  }

  /** Takes what was fetched. A record that is not the next one is a gap. */
  take(records: readonly LogRecord[]): void {
    const [first, last] = [records[0], records.at(-1)];
    if (first === undefined || last === undefined) return;
    if (first.offset !== this.position) {
      this.fail(new OffsetGap(this.position, { low: first.offset, high: last.offset + 1 }));
      return;
    }
    this.#buffered.push(...records);
    this.octets += records.reduce((sum, { value }) => sum + value.length, 0);
    this.position = last.offset + 1;
    this.appendedAtMs = last.appendedAtMs;
    this.wake();
  }

  /** Records below were given up: if the reader has not got them yet, it gets a gap. */
  trimmed(below: number): void {
    const wanted = this.#buffered[0]?.offset ?? this.position;
    if (wanted < below) this.fail(new OffsetGap(wanted, { low: below, high: Math.max(below, this.position) }));
  }

  async next(): Promise<readonly LogRecord[] | undefined> {
    for (;;) {
      if (this.#deps.signal.aborted || this.#isClosed) return undefined;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#buffered.length > 0) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const [records, octets] = [this.#buffered, this.octets];
    this.#buffered = [];
    this.octets = 0;
    this.#deps.onEmptied(this, octets);
    return records;
  }

  close(): void {
    this.#isClosed = true;
    this.#deps.signal.removeEventListener('abort', this.#onAbort);
    this.#deps.onClosed(this);
    this.wake();
  }
}
