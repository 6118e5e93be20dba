import type { Dir } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, readFile, rename, stat, unlink } from 'node:fs/promises';

/** The file system as far as blobs need it; tests put a failing one in its place. Failures are those of `node:fs`. */
export interface BlobFiles {
  /** A new file with these pieces behind each other, synced. */
  write(path: string, pieces: readonly Uint8Array[]): Promise<void>;
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

/** All pieces in one call; after a short write the rest is written in another one, which tells what is wrong. */
async function writeAll(handle: FileHandle, pieces: readonly Uint8Array[]): Promise<void> {
  const { bytesWritten } = await handle.writev([...pieces]);
  const octets = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (bytesWritten < octets) await handle.writeFile(Buffer.concat(pieces).subarray(bytesWritten));
}

export const diskFiles: BlobFiles = {
  write: (path, pieces) =>
    inFile(path, 'wx', async (handle) => {
      await writeAll(handle, pieces);
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
