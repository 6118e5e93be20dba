export { createMailbox, type MailboxDeps, type MailboxService } from './create-mailbox.ts';
export { MAILBOX_METRICS } from './meters.ts';
export { type MailboxDatabase, type MailboxTables, MIGRATIONS as MAILBOX_MIGRATIONS, nameStore, skipUids } from './store/schema.ts';
