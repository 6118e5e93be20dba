import { access } from 'node:fs/promises';
import { MAILBOX_MIGRATIONS, type MailboxDatabase, type MailboxTables } from '@angarium/mailbox';
import type { RoutingDeps } from '@angarium/routing';
import type { Config } from '@angarium/runtime';
import { openPostgres, openSqlite, SqlError } from '@angarium/sql';

/** Where the directory is, when several processes have the same one; undefined: in the data folder. */
export function sharedDirectory({ postgres, routing }: Config): RoutingDeps['sharedDirectory'] {
  if (routing.directoryEngine === 'sqlite' || postgres === undefined) return undefined;
  return {
    open: (migrations) => openPostgres({ ...postgres, migrations, schema: 'directory', applicationName: 'angarium directory' }),
    maxAgeMs: routing.directoryMaxAgeMs,
  };
}

/**
 * The mailbox database that the configuration names: on the server, or in the data folder.
 *
 * @throws SqlError when the server or the file cannot be opened, or the file would be left behind with its mail; says what to do
 */
export async function openMailboxDatabase({ postgres, mailbox, dataFolder }: Config): Promise<MailboxDatabase> {
  const migrations = MAILBOX_MIGRATIONS;
  const file = `${dataFolder}/mailbox.sqlite`;
  if (mailbox.storeEngine === 'sqlite' || postgres === undefined) return openSqlite<MailboxTables>({ file, migrations });
  const isLeftBehind = await access(file).then(
    () => true,
    () => false,
  );
  if (isLeftBehind) {
    const cure = 'set mailbox.storeEngine to sqlite, or move the file away when its mail is not wanted any more';
    throw new SqlError('ERROR', `${file} holds mailboxes, which nobody would see on PostgreSQL: ${cure}`);
  }
  return openPostgres<MailboxTables>({ ...postgres, migrations, schema: 'mailbox', applicationName: 'angarium mailbox' });
}
