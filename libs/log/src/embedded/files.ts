import { constants, write } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';

/** An open segment. */
export interface SegmentFile {
  /** Resolves when the octets are durable. When it throws, all, some or none of them are in the file. */
  write(octets: Uint8Array, position: number): Promise<void>;
  /** Writes zeros, durably; nothing of value may be there. */
  clear(position: number, octets: number): Promise<void>;
  /** Fewer octets at the end of the file. */
  read(position: number, octets: number): Promise<Buffer>;
  size(): Promise<number>;
  /** Waits for what is being written. */
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

const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** Whether the disk or the quota is full. */
export const isFull = (cause: unknown): boolean => FULL.has((cause as NodeJS.ErrnoException).code ?? '');

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

/**
 * A short write is followed by another one, which tells what is wrong. By callback, which takes a small batch a fifth less time
 * than a promise.
 */
function writeWhole(fd: number, octets: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const writeFrom = (done: number): void => {
      if (done === octets.length) {
        resolve();
        return;
      }
      write(fd, octets, done, octets.length - done, position + done, (error, written) => {
        if (error) reject(error);
        else if (written === 0) reject(new Error(`nothing written at ${position + done}`));
        else writeFrom(done + written);
      });
    };
    writeFrom(0);
  });
}

async function readUpTo(handle: FileHandle, position: number, octets: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(octets);
  let done = 0;
  while (done < octets) {
    const { bytesRead } = await handle.read(buffer, done, octets - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

/** A write ends as if fdatasync had followed it: one trip to the disk and back instead of two. */
const DURABLE = constants.O_RDWR | constants.O_DSYNC;

export const diskFiles: LogFiles = {
  open: async (path, { isNew }) => {
    const handle = await open(path, DURABLE | (isNew ? constants.O_CREAT | constants.O_EXCL : 0), 0o600);
    try {
      if (isNew) await syncFolder(parentOf(path));
    } catch (error) {
      await handle.close();
      throw error;
    }
    const running = new Set<Promise<void>>();
    // A descriptor that is closed under a write may be another file's by the time it is written to.
    const writeTracked = (octets: Uint8Array, position: number): Promise<void> => {
      const written = writeWhole(handle.fd, octets, position).finally(() => running.delete(written));
      running.add(written);
      return written;
    };
    return {
      write: writeTracked,
      clear: (position, octets) => writeTracked(Buffer.alloc(octets), position),
      read: (position, octets) => readUpTo(handle, position, octets),
      size: async () => (await handle.stat()).size,
      close: async () => {
        await Promise.allSettled(running);
        await handle.close();
      },
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
