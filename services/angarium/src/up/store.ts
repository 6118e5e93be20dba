import { openFileBlobs } from '@angarium/blob';
import { createMailbox, MAILBOX_MIGRATIONS, type MailboxDatabase, type MailboxService, type MailboxTables } from '@angarium/mailbox';
import type { Directory } from '@angarium/rpc';
import { openSqlite } from '@angarium/sql';
import type { Base } from './deps.ts';
import type { Parts } from './shutdown.ts';

/** The mailbox service over its own database and blobs in the data folder, started. */
export async function startMailbox(base: Base, directory: Directory, parts: Parts): Promise<MailboxService> {
  const folder = base.config.dataFolder;
  const database: MailboxDatabase = await openSqlite<MailboxTables>({ file: `${folder}/mailbox.sqlite`, migrations: MAILBOX_MIGRATIONS });
  parts.add('mailbox database', () => database.close());
  const blobs = await openFileBlobs({ folder: `${folder}/mail` });
  const mailbox = createMailbox({ ...base, database, blobs, directory });
  await mailbox.start();
  parts.add('mailbox', () => mailbox.stop());
  return mailbox;
}
