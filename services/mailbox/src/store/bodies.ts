import type { BlobStore } from '@angarium/blob';
import type { StoreDatabase } from './schema.ts';

/** A body in the blob store is cut, so that nobody has to hold more of it than this. */
const PART_OCTETS = 1024 ** 2;
const PARTS_AT_ONCE = 4;
const PREFIX = 'mail/';

/** Name of the blobs of one body; each is `<name>.<number>`. The random part lets no retry meet the leftovers of another. */
const BLOB_KEY = /^(mail\/[0-9A-Za-z]{1,64}\.[0-9a-f]{16})\.(\d{1,6})$/;

export interface BodyRow {
  readonly octets: number;
  readonly blob: string | null;
  readonly part_octets: number;
  readonly content: Uint8Array | null;
}

/** A row names a body that the blob store does not have. */
class BodyMissing extends Error {
  override readonly name = 'BodyMissing';
}

export function blobName(queueId: string, random: () => number): string {
  const half = () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  return `${PREFIX}${queueId}.${half()}${half()}`;
}

function partKeys({
  blob,
  octets,
  part_octets,
}: {
  readonly blob: string;
  readonly octets: number;
  readonly part_octets: number;
}): string[] {
  return Array.from({ length: Math.ceil(octets / part_octets) }, (_, index) => `${blob}.${index}`);
}

/** Resolves when all parts are durable; rejects as `BlobStore.put` does, and parts may be left for the sweeper. */
export async function putBody(blobs: BlobStore, blob: string, content: Uint8Array): Promise<{ readonly partOctets: number }> {
  const keys = partKeys({ blob, octets: content.length, part_octets: PART_OCTETS });
  for (let at = 0; at < keys.length; at += PARTS_AT_ONCE) {
    const puts = keys.slice(at, at + PARTS_AT_ONCE).map((key, index) => {
      const start = (at + index) * PART_OCTETS;
      return blobs.put(key, content.subarray(start, start + PART_OCTETS));
    });
    const settled = await Promise.allSettled(puts);
    for (const put of settled) if (put.status === 'rejected') throw put.reason;
  }
  return { partOctets: PART_OCTETS };
}

export async function deleteBody(
  blobs: BlobStore,
  body: { readonly blob: string; readonly octets: number; readonly part_octets: number },
): Promise<void> {
  for (const key of partKeys(body)) await blobs.delete(key);
}

/** The body's octets in order, at most one part in memory. @throws BodyMissing */
export async function* readBody(blobs: BlobStore, { octets, blob, part_octets, content }: BodyRow): AsyncGenerator<Uint8Array> {
  if (blob === null) {
    if (content === null || content.length !== octets) throw new BodyMissing('the row has no content');
    yield content;
    return;
  }
  for (const key of partKeys({ blob, octets, part_octets })) {
    const part = await blobs.get(key);
    if (part === undefined) throw new BodyMissing(`no blob ${key}`);
    yield part;
  }
}

const LOOKED_UP_AT_ONCE = 128;

/**
 * Deletes blobs of bodies that no row names: a crash came between blob and row, or the row is gone and the deletion
 * failed. Only blobs from before `beforeMs`: younger ones may be about to be named.
 */
export async function deleteUnnamedBlobs(blobs: BlobStore, database: StoreDatabase, beforeMs: number): Promise<number> {
  let deleted = 0;
  let candidates = new Map<string, string>();
  const look = async () => {
    const names = [...new Set(candidates.values())];
    const rows = names.length === 0 ? [] : await database.selectFrom('bodies').select('blob').where('blob', 'in', names).execute();
    const named = new Set(rows.map(({ blob }) => blob));
    for (const [key, name] of candidates) {
      if (named.has(name)) continue;
      await blobs.delete(key);
      deleted += 1;
    }
    candidates = new Map();
  };
  for await (const { key, storedAtMs } of blobs.list(PREFIX)) {
    const name = BLOB_KEY.exec(key)?.[1];
    if (name === undefined || storedAtMs >= beforeMs) continue;
    candidates.set(key, name);
    if (candidates.size >= LOOKED_UP_AT_ONCE) await look();
  }
  await look();
  return deleted;
}
