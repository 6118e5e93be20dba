import { createMailbox, MAILBOX_MIGRATIONS, type MailboxDatabase, type MailboxService, type MailboxTables } from '@angarium/mailbox';
import type { Directory } from '@angarium/rpc';
import { openSqlite } from '@angarium/sql';
import { openBlobs } from './blobs.ts';
import type { Base } from './deps.ts';
import { folderName } from './owner.ts';
import type { Parts } from './shutdown.ts';

/** The mailbox service over its own database and blobs in the data folder, started. */
export async function startMailbox(base: Base, directory: Directory, parts: Parts): Promise<MailboxService> {
  const folder = base.config.dataFolder;
  const database: MailboxDatabase = await openSqlite<MailboxTables>({ file: `${folder}/mailbox.sqlite`, migrations: MAILBOX_MIGRATIONS });
  parts.add('mailbox database', () => database.close());
  const { blobFolder } = base.config.mailbox;
  const isShared = blobFolder !== '';
  const owner = { use: 'mail', name: await folderName(folder) } as const;
  const opened = await openBlobs(base, parts, { folder: isShared ? blobFolder : `${folder}/mail`, isShared, owner });
  const mailbox = createMailbox({ ...base, database, blobs: opened.blobs, directory });
  await mailbox.start();
  parts.add('mailbox', () => mailbox.stop());
  return { ...mailbox, notReady: () => [...opened.notReady(), ...mailbox.notReady()] };
}
