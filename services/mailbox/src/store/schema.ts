import type { Sqlite } from '@angarium/sql';
import { type Generated, type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

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

export interface MailboxTables {
  accounts: AccountTable;
  mailboxes: MailboxTable;
  messages: MessageTable;
  bodies: BodyTable;
  loose_bodies: LooseBodyTable;
  ledger: LedgerTable;
}

/** The store as its own parts ask it. */
export type StoreDatabase = Kysely<MailboxTables>;
/** The store as it is opened and handed to the service. */
export type MailboxDatabase = Sqlite<MailboxTables>;

const TABLES = [
  sql`create table accounts (account text primary key, usage_octets integer not null, message_count integer not null) without rowid`,
  sql`create table mailboxes (id integer primary key, account text not null, name text not null, uidvalidity integer not null,
      uidnext integer not null, highestmodseq integer not null, unique (account, name))`,
  sql`create table messages (mailbox_id integer not null references mailboxes (id), uid integer not null, modseq integer not null,
      flags text not null, internal_date_ms integer not null, octets integer not null, header text not null,
      body text not null references bodies (queue_id) deferrable initially deferred, primary key (mailbox_id, uid)) without rowid`,
  sql`create index messages_by_body on messages (body)`,
  // The content comes last: a search by the other columns does not read it.
  sql`create table bodies (queue_id text primary key, octets integer not null, blob text, part_octets integer not null, content blob)`,
  sql`create index bodies_by_blob on bodies (blob) where blob is not null`,
  sql`create table loose_bodies (queue_id text primary key, since_ms integer not null) without rowid`,
  sql`create index loose_bodies_by_age on loose_bodies (since_ms)`,
  sql`create table ledger (queue_id text not null, address text not null, at_ms integer not null, primary key (queue_id, address)) without rowid`,
  sql`create index ledger_by_age on ledger (at_ms)`,
];

export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '2026-11-store': {
    async up(database) {
      for (const table of TABLES) await table.execute(database);
    },
  },
};

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
