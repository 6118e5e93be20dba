import { randomUUID } from 'node:crypto';
import { dirname, join, relative, resolve } from 'node:path';
import { type BlobFiles, diskFiles } from './files.ts';
import { createFolderSync } from './folder-sync.ts';
import { checkKey } from './key.ts';
import { type BlobBody, type BlobEntry, type BlobStore, BlobStoreFull, piecesOf } from './port.ts';

export interface FileBlobsOptions {
  /** Made where it is missing. */
  readonly folder: string;
  /** Other processes write there too: what one of them is writing now is left alone at the start. */
  readonly isShared: boolean;
  readonly files?: BlobFiles;
  readonly nowMs?: () => number;
}

/**
 * Age at which an unfinished file in a shared folder is nobody's any more. A body is written within seconds, on an ailing disk
 * within minutes; the put of a process that stood still for longer fails when its file is gone, and nobody was told of success.
 */
const ABANDONED_AFTER_MS = 3_600_000;

/** Folder of files that are being written; no key has a part that begins with a dot. */
const UNFINISHED = '.unfinished';
const FULL = new Set(['ENOSPC', 'EDQUOT']);
/** A path that names no file: not there, below a file, or a folder. */
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'EISDIR']);

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

/** `undefined` where the path names no file. */
async function ifPresent<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (ABSENT.has(codeOf(error))) return undefined;
    throw error;
  }
}

/** Makes folders below `root`, and sees once that each is on disk, also one that a killed process made. */
function createFolders(root: string, files: BlobFiles, sync: (folder: string) => Promise<void>) {
  const made = new Map<string, Promise<void>>();
  const make = async (folder: string) => {
    const parent = dirname(folder);
    if (folder !== root) await need(parent);
    await files.makeFolder(folder);
    await sync(parent);
  };
  const need = (folder: string): Promise<void> => {
    const found = made.get(folder);
    if (found) return found;
    const making = make(folder).catch((error: unknown) => {
      made.delete(folder);
      throw error;
    });
    made.set(folder, making);
    return making;
  };
  return need;
}

/** Files below a folder, as they are met; what begins with a dot is not a blob. */
async function* filesBelow(folder: string, files: BlobFiles): AsyncGenerator<string> {
  const opened = await ifPresent(files.openFolder(folder));
  if (opened === undefined) return;
  for await (const entry of opened) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory()) yield* filesBelow(path, files);
    else yield path;
  }
}

/** Folder in which every key with the prefix lies; `undefined` when no key can have it. */
function folderOf(prefix: string): string | undefined {
  const parts = prefix.split('/');
  parts.pop();
  return parts.every((part) => part !== '' && !part.startsWith('.')) ? parts.join('/') : undefined;
}

/** Removes what killed processes were writing. Others may finish or remove a file meanwhile. */
async function removeUnfinished(unfinished: string, files: BlobFiles, beforeMs: number): Promise<void> {
  for await (const { name } of await files.openFolder(unfinished)) {
    const path = join(unfinished, name);
    const found = await ifPresent(files.stat(path));
    if (found && found.mtimeMs < beforeMs) await ifPresent(files.remove(path));
  }
}

/**
 * Blobs as plain files, a file per key. A put writes and syncs a file of its own, renames it to the key and syncs the folder,
 * so that a key names either its old or its new body whatever happens. What a killed process left unfinished is removed at
 * the start: in a folder of one process all of it, in a shared one what is older than an hour.
 */
export async function openFileBlobs(o: FileBlobsOptions): Promise<BlobStore> {
  const { folder, isShared, files = diskFiles, nowMs = Date.now } = o;
  const root = resolve(folder);
  const unfinished = join(root, UNFINISHED);
  const sync = createFolderSync((path) => files.syncFolder(path));
  const needFolder = createFolders(root, files, sync);
  await files.makeFolder(dirname(root));
  await needFolder(unfinished);
  await removeUnfinished(unfinished, files, isShared ? nowMs() - ABANDONED_AFTER_MS : Number.POSITIVE_INFINITY);

  const pathOf = (key: string) => {
    checkKey(key);
    return join(root, key);
  };
  const write = async (path: string, body: BlobBody) => {
    await needFolder(dirname(path));
    const fresh = join(unfinished, randomUUID());
    try {
      await files.write(fresh, piecesOf(body));
      await files.rename(fresh, path);
    } catch (error) {
      // What cannot be removed now is removed at the next start; the first failure is the one to tell.
      await files.remove(fresh).catch(() => {});
      throw error;
    }
    await sync(dirname(path));
  };
  return {
    put: async (key, body) => {
      const path = pathOf(key);
      try {
        await write(path, body);
      } catch (error) {
        throw FULL.has(codeOf(error)) ? new BlobStoreFull(`no room for ${key}`, { cause: error }) : error;
      }
    },
    get: async (key) => ifPresent(files.read(pathOf(key))),
    delete: async (key) => ifPresent(files.remove(pathOf(key))),
    async *list(prefix): AsyncGenerator<BlobEntry> {
      const below = folderOf(prefix);
      if (below === undefined) return;
      for await (const path of filesBelow(join(root, below), files)) {
        const key = relative(root, path);
        if (!key.startsWith(prefix)) continue;
        const found = await ifPresent(files.stat(path));
        if (found) yield { key, octets: found.size, storedAtMs: found.mtimeMs };
      }
    },
  };
}
