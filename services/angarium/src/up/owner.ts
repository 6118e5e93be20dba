import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobStore, BlobStoreRefused } from '@angarium/blob';
import { writeDurably } from '../command/durable-copy.ts';

/** Whose contents a store that others could use too keeps. What no record or row of the owner names is swept there. */
export interface Owner {
  readonly use: 'queue' | 'mail';
  readonly name: string;
}

const FILE = 'store-id';

/** A name for the data folder that no other one has, made on the first call; it goes along when the folder is moved or restored. */
export async function folderName(dataFolder: string): Promise<string> {
  const file = join(dataFolder, FILE);
  const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  if (found !== '') return found.trim();
  const name = `data folder ${randomUUID()}`;
  await writeDurably(file, `${name}\n`);
  return name;
}

/**
 * Writes the owner's name into a store that has none. Two queues, or two mailbox databases, in one store would each sweep away the
 * mail of the other; when both begin at once, the next claim of one of them finds out.
 *
 * @throws BlobStoreRefused when the store has another owner
 */
export async function claimStore(blobs: BlobStore, { use, name }: Owner): Promise<void> {
  const key = `owner/${use}`;
  const found = await blobs.get(key);
  if (found === undefined) return blobs.put(key, Buffer.from(name));
  const owner = Buffer.from(found).toString();
  if (owner !== name) {
    throw new BlobStoreRefused(
      `the store keeps the ${use} of another owner (${owner}; this is ${name}): give one of them another bucket, blobs.s3.prefix or folder, or delete ${key} there when the other one is gone`,
    );
  }
}
