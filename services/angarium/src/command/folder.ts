import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { MailboxTables } from '@angarium/mailbox';
import { FolderHeld, holdFolder, openSqlite } from '@angarium/sql';
import type { Command } from 'commander';
import { HeldAlready } from '../up/deletion-hold.ts';
import { FORMAT_VERSION, readFormat } from '../up/format.ts';
import { configOf } from './config.ts';
import { copyDurably, writeDurably } from './durable-copy.ts';
import { copyRunning } from './running-copy.ts';
import { CommandError, type Terminal } from './terminal.ts';

const MANIFEST = 'manifest.json';
/** Locks and sockets belong to a running process, not to the data. */
const LEFT_OUT = /(^|\/)(lock[^/]*|.*\.sock)$/;

const BACKUP_HELP = `
All mail that was accepted before the backup began is in it: queued, or with its outcome; and all mail of mailboxes.
Mail that was delivered to other hosts while the backup ran or after it is still queued in it: whoever starts from it
delivers that mail again. Contents in a bucket, or in a folder of mailbox.blobFolder, are not in it. It takes as long as
the copy takes, and contents are not deleted meanwhile; on the same disk they are second names of the same files.`;

interface Manifest {
  readonly formatVersion: number;
  readonly createdAt: string;
  readonly files: readonly { readonly path: string; readonly octets: number; readonly sha256: string }[];
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => !LEFT_OUT.test(path))
    .sort();
}

async function digest(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

const isEmptyOrMissing = async (folder: string): Promise<boolean> =>
  (await readdir(folder).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? [] : Promise.reject(error)))).length === 0;

/** A stopped folder is copied file by file; one in use in an order that loses nothing. */
async function copyFolder(from: string, to: string): Promise<void> {
  const lock = await holdFolder(from).catch((error: unknown) => {
    if (error instanceof FolderHeld) return undefined;
    throw error;
  });
  try {
    if (lock) await copyDurably(from, to, await filesOf(from));
    else await copyRunning({ from, to, filesOf });
  } catch (error) {
    throw error instanceof HeldAlready ? new CommandError(error.message) : error;
  } finally {
    await lock?.release();
  }
}

/** Copies a data folder and writes what was copied with its digests. */
async function backup(dataFolder: string, target: string): Promise<Manifest> {
  const formatVersion = await readFormat(dataFolder);
  if (formatVersion === undefined) throw new CommandError(`${dataFolder} is not a data folder of Angarium`);
  if (!(await isEmptyOrMissing(target))) throw new CommandError(`${target} is not empty`);
  await copyFolder(resolve(dataFolder), resolve(target));
  const files = [];
  for (const path of await filesOf(target)) {
    const file = join(target, path);
    files.push({ path, octets: (await stat(file)).size, sha256: await digest(file) });
  }
  const manifest = { formatVersion, createdAt: new Date().toISOString(), files };
  // Last: a backup that was cut short has none, and is refused.
  await writeDurably(join(target, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

/** Mail clients may have seen messages that came after the backup: their UIDs must not be given out again. */
async function skipRestoredUids(file: string): Promise<void> {
  if (!(await stat(file).catch(() => undefined))) return;
  const { MAILBOX_MIGRATIONS, skipUids } = await import('@angarium/mailbox');
  const database = await openSqlite<MailboxTables>({ file, migrations: MAILBOX_MIGRATIONS });
  await skipUids(database);
  await database.close();
}

/** Checks every file of a backup, then copies them into an empty data folder. Nothing is written when one is wrong. */
async function restore(source: string, dataFolder: string): Promise<Manifest> {
  const text = await readFile(join(source, MANIFEST), 'utf8').catch(() => {
    throw new CommandError(`${source} holds no backup: ${MANIFEST} is missing`);
  });
  const manifest = JSON.parse(text) as Manifest;
  if (manifest.formatVersion > FORMAT_VERSION) {
    throw new CommandError(
      `the backup has format ${manifest.formatVersion}, this release knows up to ${FORMAT_VERSION}: use the release that made it`,
    );
  }
  if (!(await isEmptyOrMissing(dataFolder))) throw new CommandError(`${dataFolder} is not empty: restore into a new folder`);
  for (const { path, sha256 } of manifest.files) {
    const file = resolve(source, path);
    if (relative(resolve(source), file).startsWith('..')) throw new CommandError(`${path}: outside the backup`);
    const found = await digest(file).catch((error: Error) => error.message);
    if (found !== sha256) throw new CommandError(`${file}: not what was backed up (${found}); nothing was restored`);
  }
  try {
    const paths = manifest.files.map(({ path }) => path);
    await copyDurably(resolve(source), resolve(dataFolder), paths);
    await skipRestoredUids(join(dataFolder, 'mailbox.sqlite'));
  } catch (error) {
    await rm(dataFolder, { recursive: true, force: true });
    throw error;
  }
  return manifest;
}

export function addFolderCommands(program: Command, { write }: Terminal): void {
  program
    .command('backup <folder>')
    .description('copy the data folder, with digests, also while Angarium runs; the folder must be empty or missing')
    .addHelpText('after', BACKUP_HELP)
    .action(async (target: string, _options, command: Command) => {
      const { files, formatVersion } = await backup(configOf(command).dataFolder, target);
      write(`${files.length} files, format ${formatVersion}: ${target}\n`);
    });
  program
    .command('restore <folder>')
    .description('make the data folder from a backup; it must be empty or missing')
    .action(async (source: string, _options, command: Command) => {
      const { dataFolder } = configOf(command);
      const { files } = await restore(source, dataFolder);
      write(`${files.length} files restored into ${dataFolder}\n`);
    });
}
