export interface BlobEntry {
  readonly key: string;
  readonly octets: number;
  readonly storedAtMs: number;
}

/** Octets in one piece, or in several that belong behind each other: a large message need not be copied together. */
export type BlobBody = Uint8Array | readonly Uint8Array[];

export const piecesOf = (body: BlobBody): readonly Uint8Array[] => (body instanceof Uint8Array ? [body] : body);

/**
 * Message contents by key. Keys are made of `[A-Za-z0-9._-]`, in parts joined by `/`, no part begins with a dot, at most
 * 200 octets; another key is a `RangeError`. A key is no folder of another one: `a` and `a/b` are not used together.
 * Durable once `put` resolves; a put of a key that exists replaces it as a whole.
 */
export interface BlobStore {
  /** @throws BlobStoreFull when there is no room; any other failure is an ordinary error, and the blob may exist. */
  put(key: string, body: BlobBody): Promise<void>;
  /** `undefined` for an unknown key. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Deleting an unknown key is not an error. */
  delete(key: string): Promise<void>;
  /** Every blob whose key starts with `prefix`, in no order, not a snapshot. For sweepers. */
  list(prefix: string): AsyncIterable<BlobEntry>;
}

export class BlobStoreFull extends Error {
  override readonly name = 'BlobStoreFull';
}

/** The store does not let us in as we are configured, so that no repeat helps; the message says what to mend. */
export class BlobStoreRefused extends Error {
  override readonly name = 'BlobStoreRefused';
}
