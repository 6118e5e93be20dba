import { mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';

/** An open segment. */
export interface SegmentFile {
  /** @throws on a short write too */
  write(octets: Uint8Array, position: number): Promise<void>;
  sync(): Promise<void>;
  read(position: number, octets: number): Promise<Buffer>;
  readonly size: () => Promise<number>;
  close(): Promise<void>;
}

/** The file system as far as the log needs it; tests put a failing one in its place. */
export interface LogFiles {
  /** Opens for reading and writing; `isNew`: made, and the folder synced. */
  open(path: string, options: { isNew: boolean }): Promise<SegmentFile>;
  list(folder: string): Promise<readonly string[]>;
  remove(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  space(folder: string): Promise<{ readonly freeOctets: number; readonly totalOctets: number }>;
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

export const diskFiles: LogFiles = {
  open: async (path, { isNew }) => {
    const handle = await open(path, isNew ? 'wx+' : 'r+', 0o600);
    if (isNew) await syncFolder(parentOf(path));
    return {
      write: async (octets, position) => {
        const { bytesWritten } = await handle.write(octets, 0, octets.length, position);
        if (bytesWritten !== octets.length) throw new Error(`short write: ${bytesWritten} of ${octets.length} octets`);
      },
      sync: () => handle.datasync(),
      read: async (position, octets) => {
        const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(octets), 0, octets, position);
        return buffer.subarray(0, bytesRead);
      },
      size: async () => (await handle.stat()).size,
      close: () => handle.close(),
    };
  },
  list: async (folder) => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return readdir(folder);
  },
  remove: (path) => rm(path, { force: true }),
  rename: (from, to) => rename(from, to),
  space: async (folder) => {
    const { bavail, bsize, blocks } = await statfs(folder);
    return { freeOctets: bavail * bsize, totalOctets: blocks * bsize };
  },
};
