import type { Dir } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, readFile, rename, stat, unlink } from 'node:fs/promises';

/** The file system as far as blobs need it; tests put a failing one in its place. Failures are those of `node:fs`. */
export interface BlobFiles {
  /** A new file with these octets, synced. */
  write(path: string, octets: Uint8Array): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  syncFolder(path: string): Promise<void>;
  /** Makes one folder; one that exists is not an error. */
  makeFolder(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  read(path: string): Promise<Uint8Array>;
  stat(path: string): Promise<{ readonly size: number; readonly mtimeMs: number }>;
  openFolder(path: string): Promise<Dir>;
}

async function inFile(path: string, flags: string, use: (handle: FileHandle) => Promise<void>): Promise<void> {
  const handle = await open(path, flags, 0o600);
  try {
    await use(handle);
  } finally {
    await handle.close();
  }
}

export const diskFiles: BlobFiles = {
  write: (path, octets) =>
    inFile(path, 'wx', async (handle) => {
      await handle.writeFile(octets);
      await handle.datasync();
    }),
  rename,
  syncFolder: (path) => inFile(path, 'r', (handle) => handle.sync()),
  makeFolder: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  remove: unlink,
  read: (path) => readFile(path),
  stat: (path) => stat(path),
  openFolder: (path) => opendir(path, { bufferSize: 256 }),
};
