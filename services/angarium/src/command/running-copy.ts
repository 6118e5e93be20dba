import { constants, copyFile, link, mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copyEmbeddedLog } from '@angarium/log';
import { copySqlite } from '@angarium/sql';
import { type DeletionHold, holdDeletions } from '../up/deletion-hold.ts';
import { syncCopies } from './durable-copy.ts';

const LOG = /^log\//;
const DATABASE = /^[^/]+\.sqlite(-wal|-shm)?$/;
const CONTENTS = /^(blobs|mail)\//;
/** The count's checkpoint: of before the log's copy, since one of after it would count what the copy does not hold. */
const CHECKPOINT = /^blobs\/accounting\//;
const UNFINISHED = /\/\.unfinished\//;
const LINK_REFUSED = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EACCES']);

interface Folders {
  readonly from: string;
  readonly to: string;
  /** Files of a folder, as paths below it. */
  readonly filesOf: (folder: string) => Promise<readonly string[]>;
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** A file that is never written to again once it has its name: a second name is as good as a copy. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!LINK_REFUSED.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL);
  }
}

/** Files that are gone by the time they are copied were not needed when the hold began. */
async function take({ from, to }: Folders, paths: readonly string[], how: (from: string, to: string) => Promise<void>): Promise<string[]> {
  const taken: string[] = [];
  for (const path of paths) {
    await mkdir(dirname(join(to, path)), { recursive: true, mode: 0o700 });
    try {
      await how(join(from, path), join(to, path));
      taken.push(path);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return taken;
}

async function copyInOrder(folders: Folders, hold: DeletionHold): Promise<void> {
  const { from, to, filesOf } = folders;
  const found = await filesOf(from);
  const small = found.filter((path) => CHECKPOINT.test(path) || !(LOG.test(path) || DATABASE.test(path) || CONTENTS.test(path)));
  await take(folders, small, (source, target) => copyFile(source, target, constants.COPYFILE_EXCL));
  if (found.some((path) => LOG.test(path))) await copyEmbeddedLog(join(from, 'log'), join(to, 'log'));
  // Whatever the log's copy says is in a mailbox was there before it was in the log.
  for (const name of (await readdir(from)).filter((entry) => entry.endsWith('.sqlite') && !entry.startsWith('lock')))
    await copySqlite(join(from, name), join(to, name));
  const contents = (await filesOf(from)).filter((path) => CONTENTS.test(path) && !CHECKPOINT.test(path) && !UNFINISHED.test(path));
  await take(folders, contents, linkOrCopy);
  await syncCopies(to, await filesOf(to));
  hold.check();
}

/**
 * Copies the data folder of a running process, which goes on meanwhile and keeps only from deleting contents. In the copy is
 * whatever was answered with 250 before the call: still queued, or with its outcome; and what a mailbox took. What was
 * delivered to other hosts after the log was copied is queued in it, and would be delivered again by whoever starts from it.
 *
 * @throws HeldAlready when another backup of the folder runs
 */
export async function copyRunning(folders: Folders): Promise<void> {
  const hold = await holdDeletions(folders.from);
  try {
    await mkdir(folders.to, { recursive: true, mode: 0o700 });
    await copyInOrder(folders, hold);
  } finally {
    await hold.release();
  }
}
