import { randomUUID } from 'node:crypto';
import { createMailbox, type MailboxDatabase, type MailboxService, nameStore } from '@angarium/mailbox';
import type { Directory } from '@angarium/rpc';
import { openBlobs } from './blobs.ts';
import { openMailboxDatabase } from './database.ts';
import type { Base } from './deps.ts';
import { folderName } from './owner.ts';
import { repeat } from './repeat.ts';
import type { Parts } from './shutdown.ts';

/** How often the server is looked at. */
const LOOK_MS = 2000;

/** A process that cannot reach its server says so: mail and clients go to one that can. */
function watchServer({ clock, logger }: Base, parts: Parts, database: MailboxDatabase): () => readonly string[] {
  let problem = '';
  const look = async (): Promise<number> => {
    const before = problem;
    try {
      await database.db.selectNoFrom((make) => make.val(1).as('one')).execute();
      problem = '';
    } catch (error) {
      problem = `mailbox: PostgreSQL does not answer: ${error instanceof Error ? error.message : String(error)}`;
    }
    if (problem !== '' && before === '') logger.error({ reason: problem }, 'mailbox.database.away');
    if (problem === '' && before !== '') logger.info({}, 'mailbox.database.back');
    return LOOK_MS;
  };
  repeat(clock, parts, { name: 'mailbox database watch', firstMs: LOOK_MS, work: look });
  return () => (problem === '' ? [] : [problem]);
}

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
  const server = storeEngine === 'postgres' ? watchServer(base, parts, database) : () => [];
  const mailbox = createMailbox({ ...base, database, blobs: opened.blobs, directory });
  await mailbox.start();
  parts.add('mailbox', () => mailbox.stop());
  return { ...mailbox, notReady: () => [...opened.notReady(), ...server(), ...mailbox.notReady()] };
}
