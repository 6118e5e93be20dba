import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FolderLock, holdFolder } from '@angarium/sql';

/** Version of the data folder's layout that this release writes. A newer one is refused, an older one migrated. */
export const FORMAT_VERSION = 1;
const FORMAT_FILE = 'format.json';

/** @throws when the folder was written by a newer release, or `format.json` is not ours */
export async function readFormat(folder: string): Promise<number | undefined> {
  const file = join(folder, FORMAT_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const version: unknown = JSON.parse(text).formatVersion;
  if (typeof version !== 'number') throw new Error(`${file}: no formatVersion; is this a data folder of Angarium?`);
  if (version > FORMAT_VERSION) {
    throw new Error(
      `${folder} has format ${version}, this release knows up to ${FORMAT_VERSION}: start the release that wrote it, or a newer one`,
    );
  }
  return version;
}

/**
 * Makes the folder where it is missing, holds it against other processes, and checks or writes its format version.
 *
 * @throws FolderHeld when another process has it
 */
export async function openFolder(folder: string): Promise<FolderLock> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const lock = await holdFolder(folder);
  try {
    if ((await readFormat(folder)) === undefined) {
      const file = join(folder, FORMAT_FILE);
      await writeFile(`${file}.new`, `${JSON.stringify({ formatVersion: FORMAT_VERSION })}\n`);
      await rename(`${file}.new`, file);
    }
    return lock;
  } catch (error) {
    await lock.release();
    throw error;
  }
}
