import { type Migrations, type Sql, type TableWords, tableWords } from '@angarium/sql';
import { type Generated, type Kysely, sql } from 'kysely';

/*
 * Shape of the store. What IMAP needs is there from the start: mailboxes with UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ,
 * messages with UID, MODSEQ, flags and internal date (RFC 9051 §2.3, RFC 7162 §3.1).
 */

/** Sums over the account's messages, changed in the transaction that changes the messages. */
interface AccountTable {
  account: string;
  usage_octets: number;
  message_count: number;
}

interface MailboxTable {
  id: Generated<number>;
  account: string;
  name: string;
  /** 32 bits; never used again for a mailbox of the same name. */
  uidvalidity: number;
  uidnext: number;
  highestmodseq: number;
}

interface MessageTable {
  mailbox_id: number;
  uid: number;
  modseq: number;
  /** As IMAP writes them, joined by blanks; '' is none. */
  flags: string;
  internal_date_ms: number;
  /** Of `header` and the body together, as a client gets them. */
  octets: number;
  /** Return-Path and Delivered-To of this recipient, each with CRLF: kept apart so that the body is shared. */
  header: string;
  /** `bodies.queue_id` */
  body: string;
}

/** One row a message, however many mailboxes hold it. */
interface BodyTable {
  queue_id: string;
  octets: number;
  /** Name of the blobs; null: the content stands in this row. */
  blob: string | null;
  /** Octets per blob, the last one less. */
  part_octets: number;
  content: Uint8Array | null;
}

/** Bodies that lost a message; whether others still name them is looked up when they are swept. */
interface LooseBodyTable {
  queue_id: string;
  since_ms: number;
}

/** What was delivered, kept apart from the messages: a retry after the deletion of a message must not bring it back. */
interface LedgerTable {
  queue_id: string;
  address: string;
  at_ms: number;
}

/** At most one row. */
interface StoreNameTable {
  only_one: 1;
  name: string;
}

export interface MailboxTables {
  accounts: AccountTable;
  mailboxes: MailboxTable;
  messages: MessageTable;
  bodies: BodyTable;
  loose_bodies: LooseBodyTable;
  ledger: LedgerTable;
  store_name: StoreNameTable;
}

/** The store as its own parts ask it. */
export type StoreDatabase = Kysely<MailboxTables>;
/** The store as it is opened and handed to the service. */
export type MailboxDatabase = Sql<MailboxTables>;

const tablesOf = ({ integer, countedKey, byKeyOnly }: TableWords) => [
  sql`create table accounts (account text primary key, usage_octets ${integer} not null, message_count ${integer} not null) ${byKeyOnly}`,
  sql`create table mailboxes (id ${countedKey}, account text not null, name text not null, uidvalidity ${integer} not null,
      uidnext ${integer} not null, highestmodseq ${integer} not null, unique (account, name))`,
  sql`create table messages (mailbox_id ${integer} not null references mailboxes (id), uid ${integer} not null, modseq ${integer} not null,
      flags text not null, internal_date_ms ${integer} not null, octets ${integer} not null, header text not null,
      body text not null references bodies (queue_id) deferrable initially deferred, primary key (mailbox_id, uid)) ${byKeyOnly}`,
  sql`create index messages_by_body on messages (body)`,
  sql`create index bodies_by_blob on bodies (blob) where blob is not null`,
  sql`create table loose_bodies (queue_id text primary key, since_ms ${integer} not null) ${byKeyOnly}`,
  sql`create index loose_bodies_by_age on loose_bodies (since_ms)`,
  sql`create table ledger (queue_id text not null, address text not null, at_ms ${integer} not null, primary key (queue_id, address)) ${byKeyOnly}`,
  sql`create index ledger_by_age on ledger (at_ms)`,
];

// The content comes last: a search by the other columns does not read it.
const bodiesOf = ({ integer, octets }: TableWords) =>
  sql`create table bodies (queue_id text primary key, octets ${integer} not null, blob text, part_octets ${integer} not null, content ${octets})`;

export const MIGRATIONS: Migrations = {
  '2026-11-store': {
    async up(database) {
      const words = tableWords(database);
      // PostgreSQL wants the referenced table first.
      for (const table of [bodiesOf(words), ...tablesOf(words)]) await table.execute(database);
    },
  },
  '2026-11-store-name': {
    async up(database) {
      await sql`create table store_name (only_one ${tableWords(database).integer} primary key, name text not null)`.execute(database);
    },
  },
};

/** The name of the store, the same in all processes that share it: `fresh` when it had none. */
export async function nameStore({ db }: MailboxDatabase, fresh: string): Promise<string> {
  await db
    .insertInto('store_name')
    .values({ only_one: 1, name: fresh })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return (await db.selectFrom('store_name').select('name').executeTakeFirstOrThrow()).name;
}

/** More messages than an account gets between a backup and its restoring. */
const SKIPPED = 2 ** 20;

/**
 * To be called once on a database that was restored from a backup: UIDs that were given out after the backup are never
 * given to other messages, so that clients that saw them miss nothing (RFC 1939 §7, RFC 9051 §2.3.1.1).
 */
export async function skipUids({ db }: MailboxDatabase): Promise<void> {
  await db
    .updateTable('mailboxes')
    .set(({ eb }) => ({ uidnext: eb('uidnext', '+', SKIPPED), highestmodseq: eb('highestmodseq', '+', SKIPPED) }))
    .execute();
}
