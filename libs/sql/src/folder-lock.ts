import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import Database from 'better-sqlite3';

/** Name of the lock's file inside the folder. Never opened by anything else: closing a second descriptor would drop the lock. */
const LOCK_FILE = 'lock.sqlite';

/** Another process, or another part of this one, holds the folder. The text names the folder and the cure. */
export class FolderHeld extends Error {
  override readonly name = 'FolderHeld';
  readonly folder: string;
  constructor(folder: string) {
    super(`${folder} is held by another process: only one may use a data folder at a time`);
    this.folder = folder;
  }
}

export interface FolderLock {
  readonly folder: string;
  /** Gives the folder free. A second call is a no-op. */
  release(): Promise<void>;
}

/** Keeps the connections reachable: one that is garbage collected would drop its lock. */
const held = new Set<Database.Database>();

/**
 * Holds a folder for this process, and makes it where it is missing. The lock is the kernel's: it ends with the process,
 * also on kill -9, and leaves nothing to clean up.
 *
 * @throws FolderHeld when it is held already, by whomever
 */
export async function holdFolder(folder: string): Promise<FolderLock> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const database = new Database(join(folder, LOCK_FILE), { timeout: 0 });
  try {
    database.exec('begin exclusive');
  } catch (error) {
    database.close();
    throw (error as { code?: string }).code === 'SQLITE_BUSY' ? new FolderHeld(resolve(folder)) : error;
  }
  held.add(database);
  return {
    folder,
    release: async () => {
      if (held.delete(database)) database.close();
    },
  };
}
