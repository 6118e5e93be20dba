import type { LogFiles, SegmentFile } from './files.ts';

export interface Segment {
  readonly id: number;
  readonly path: string;
  readonly file: SegmentFile;
  /** Length that is on disk; what the file holds beyond it does not count. */
  octets: number;
  /** Records that no low mark has passed. */
  live: number;
  /** Whether its index file was written. */
  isIndexed: boolean;
}

const ID_DIGITS = 12;

/** Id of the segment that a file of this ending belongs to. */
export function idOf(name: string, ending: 'seg' | 'idx'): number | undefined {
  const digits = name.length === ID_DIGITS + 4 && name.endsWith(`.${ending}`) ? name.slice(0, ID_DIGITS) : '';
  return /^\d+$/.test(digits) ? Number(digits) : undefined;
}

/** The files of the log, open for reading as long as they are needed. */
export class Segments {
  readonly #byId = new Map<number, Segment>();
  readonly #folder: string;
  readonly #files: LogFiles;
  constructor(folder: string, files: LogFiles) {
    this.#folder = folder;
    this.#files = files;
  }

  path(id: number, ending: 'seg' | 'idx' = 'seg'): string {
    return `${this.#folder}/${String(id).padStart(ID_DIGITS, '0')}.${ending}`;
  }

  async open(id: number, options: { isNew: boolean }): Promise<Segment> {
    const path = this.path(id);
    const segment = { id, path, file: await this.#files.open(path, options), octets: 0, live: 0, isIndexed: false };
    this.#byId.set(id, segment);
    return segment;
  }

  get(id: number): Segment | undefined {
    return this.#byId.get(id);
  }

  /** The oldest first. */
  all(): Segment[] {
    return [...this.#byId.values()].sort((one, other) => one.id - other.id);
  }

  async close(id: number): Promise<void> {
    const segment = this.#byId.get(id);
    this.#byId.delete(id);
    await segment?.file.close();
  }

  /**
   * Removes the files older than `newest` of which nothing is needed: the state of `newest`, which is on disk, tells all they
   * told, and the marks that passed them are on disk too.
   */
  async removeDead(newest: number): Promise<void> {
    for (const { id, live } of this.all()) if (live === 0 && id < newest) await this.remove(id);
  }

  async remove(id: number): Promise<void> {
    await this.close(id);
    await this.#files.remove(this.path(id));
    await this.#files.remove(this.path(id, 'idx'));
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#byId.keys()].map((id) => this.close(id)));
  }

  /** Octets from the place to the end of the newest segment. */
  octetsFrom(id: number, position: number): number {
    let sum = -position;
    for (const segment of this.#byId.values()) if (segment.id >= id) sum += segment.octets;
    return Math.max(0, sum);
  }
}
