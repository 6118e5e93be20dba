import type { LogFiles, SegmentFile } from './files.ts';

export interface Segment {
  readonly id: number;
  readonly path: string;
  readonly file: SegmentFile;
  /** Length that is on disk; what the file holds beyond it does not count. */
  octets: number;
  /** Records that no low mark has passed. */
  live: number;
}

const ID_DIGITS = 12;

/** The files of the log, open for reading as long as they are needed. */
export class Segments {
  readonly #byId = new Map<number, Segment>();
  readonly #folder: string;
  readonly #files: LogFiles;
  constructor(folder: string, files: LogFiles) {
    this.#folder = folder;
    this.#files = files;
  }

  path(id: number): string {
    return `${this.#folder}/${String(id).padStart(ID_DIGITS, '0')}.seg`;
  }

  async open(id: number, options: { isNew: boolean }): Promise<Segment> {
    const path = this.path(id);
    const segment = { id, path, file: await this.#files.open(path, options), octets: 0, live: 0 };
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

  /** Removes the files older than `newest` of which nothing is needed: the state of `newest` tells all they told. */
  async removeDead(newest: number): Promise<void> {
    const dead = [...this.#byId.values()].filter(({ id, live }) => live === 0 && id < newest);
    for (const { id } of dead) {
      await this.close(id);
      await this.#files.remove(this.path(id));
    }
  }

  /** Removes a file that was never used. */
  async discard(id: number): Promise<void> {
    await this.close(id);
    await this.#files.remove(this.path(id));
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
