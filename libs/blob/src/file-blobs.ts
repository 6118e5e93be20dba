import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, opendir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { checkKey } from './key.ts';
import { type BlobEntry, type BlobStore, BlobStoreFull } from './port.ts';

export interface FileBlobsOptions {
  readonly folder: string;
}

/** Names of files that are being written; no key has a part that begins with a dot. */
const UNFINISHED = '.new-';
const FULL = new Set(['ENOSPC', 'EDQUOT']);

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** Syncs of one folder that are asked for while one is under way are done by a single further one. */
function createFolderSync(): (folder: string) => Promise<void> {
  const running = new Map<string, { current: Promise<void>; next: Promise<void> | undefined }>();
  const syncOnce = async (folder: string) => {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  };
  const start = (folder: string): Promise<void> => {
    const current = syncOnce(folder).finally(() => {
      if (running.get(folder)?.current === current) running.delete(folder);
    });
    running.set(folder, { current, next: undefined });
    return current;
  };
  return (folder) => {
    const found = running.get(folder);
    if (found === undefined) return start(folder);
    // The one under way may have begun before the caller's rename.
    found.next ??= found.current.catch(() => {}).then(() => start(folder));
    return found.next;
  };
}

async function* filesBelow(folder: string): AsyncGenerator<string> {
  for await (const entry of await opendir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else yield path;
  }
}

/** Makes missing folders, each synced into its parent. */
async function makeFolder(folder: string, sync: (folder: string) => Promise<void>): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (made === undefined) return;
  for (let at = folder; at.length >= made.length; at = dirname(at)) await sync(dirname(at));
}

/**
 * Blobs as plain files, a file per key. A put writes beside the key, syncs, renames and syncs the folder, so that a key
 * names either its old or its new body whatever happens. What a killed process left unfinished is removed at the start.
 */
export async function openFileBlobs({ folder }: FileBlobsOptions): Promise<BlobStore> {
  const sync = createFolderSync();
  const known = new Set<string>();
  await makeFolder(folder, sync);
  for await (const path of filesBelow(folder)) if (path.includes(`/${UNFINISHED}`)) await rm(path, { force: true });
  const pathOf = (key: string) => {
    checkKey(key);
    return join(folder, key);
  };
  const write = async (path: string, body: Uint8Array) => {
    const parent = dirname(path);
    if (!known.has(parent)) {
      await makeFolder(parent, sync);
      known.add(parent);
    }
    const unfinished = join(parent, `${UNFINISHED}${randomUUID()}`);
    let handle: FileHandle | undefined;
    try {
      handle = await open(unfinished, 'wx', 0o600);
      await handle.writeFile(body);
      await handle.datasync();
      await handle.close();
      handle = undefined;
      await rename(unfinished, path);
    } catch (error) {
      await handle?.close().catch(() => {});
      await rm(unfinished, { force: true });
      throw error;
    }
    await sync(parent);
  };
  return {
    put: async (key, body) => {
      const path = pathOf(key);
      try {
        await write(path, body);
      } catch (error) {
        throw FULL.has(codeOf(error) ?? '') ? new BlobStoreFull(`no room for ${key}`, { cause: error }) : error;
      }
    },
    get: async (key) => {
      try {
        return await readFile(pathOf(key));
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined;
        throw error;
      }
    },
    delete: (key) => rm(pathOf(key), { force: true }),
    async *list(prefix): AsyncGenerator<BlobEntry> {
      for await (const path of filesBelow(folder)) {
        const key = relative(folder, path);
        if (!key.startsWith(prefix) || path.includes(`/${UNFINISHED}`)) continue;
        const found = await stat(path).catch((error: unknown) => (codeOf(error) === 'ENOENT' ? undefined : Promise.reject(error)));
        if (found) yield { key, octets: found.size, storedAtMs: found.mtimeMs };
      }
    },
  };
}
