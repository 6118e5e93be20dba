import { randomUUID } from 'node:crypto';
import { createMailbox, type MailboxService, nameStore } from '@angarium/mailbox';
import type { Directory } from '@angarium/rpc';
import { openBlobs } from './blobs.ts';
import { openMailboxDatabase } from './database.ts';
import type { Base } from './deps.ts';
import { folderName } from './owner.ts';
import type { Parts } from './shutdown.ts';

/** The mailbox service over its database and blobs, started. */
export async function startMailbox(base: Base, directory: Directory, parts: Parts): Promise<MailboxService> {
  const folder = base.config.dataFolder;
  const database = await openMailboxDatabase(base.config);
  parts.add('mailbox database', () => database.close());
  const { blobFolder, storeEngine } = base.config.mailbox;
  const isShared = blobFolder !== '';
  const name = storeEngine === 'postgres' ? await nameStore(database, `mailbox database ${randomUUID()}`) : await folderName(folder);
  const owner = { use: 'mail', name } as const;
  const opened = await openBlobs(base, parts, { folder: isShared ? blobFolder : `${folder}/mail`, isShared, owner });
  const mailbox = createMailbox({ ...base, database, blobs: opened.blobs, directory });
  await mailbox.start();
  parts.add('mailbox', () => mailbox.stop());
  return { ...mailbox, notReady: () => [...opened.notReady(), ...mailbox.notReady()] };
}
