import { writeFile } from 'node:fs/promises';
import Database from 'better-sqlite3';

/**
 * Copies a SQLite file as it is at one instant, while another process writes to it; that one waits for nothing. Tables are not
 * brought up to date, so any release may copy the file of any other. Blocks the thread for as long as the copy takes. The
 * caller syncs the copy.
 *
 * @throws when the copy exists already
 */
export async function copySqlite(file: string, toFile: string): Promise<void> {
  await writeFile(toFile, '', { flag: 'wx', mode: 0o600 });
  const database = new Database(file, { readonly: true, fileMustExist: true });
  try {
    // One read transaction: the backup interface would begin anew whenever somebody else writes.
    database.prepare('vacuum into ?').run(toFile);
  } finally {
    database.close();
  }
}
