import type { BlobStore } from '@angarium/blob';
import { inTransaction } from '@angarium/sql';
import { type BodyRow, readBody } from './bodies.ts';
import { chunksOf } from './chunks.ts';
import type { StoreDatabase } from './schema.ts';

/** What stands in a mailbox at one moment; both lists are in the order of arrival and of equal length. */
export interface Listing {
  readonly uidvalidity: number;
  readonly uids: readonly number[];
  readonly octets: readonly number[];
}

interface MessageSource {
  readonly octets: number;
  /** Header lines of this recipient, then the body; read once. */
  readonly chunks: AsyncGenerator<Uint8Array>;
}

/** The INBOX of one account, as POP3 sees it. */
export interface Maildrop {
  readonly listing: Listing;
  /**
   * `undefined`: the message is gone. The beginning of the body has been read when it resolves.
   *
   * @throws BodyMissing when the body is not where its row says
   */
  read(uid: number): Promise<MessageSource | undefined>;
  /** Deletes all of them or, when it rejects, none. Unknown ones are passed over. */
  remove(uids: readonly number[]): Promise<void>;
}

export interface MaildropDeps {
  readonly database: StoreDatabase;
  readonly blobs: BlobStore;
  readonly nowMs: () => number;
}

const ROWS_PER_PAGE = 5000;
const EMPTY: Listing = { uidvalidity: 1, uids: [], octets: [] };

export async function openMaildrop(deps: MaildropDeps, account: string): Promise<Maildrop> {
  const inbox = await deps.database
    .selectFrom('mailboxes')
    .select(['id', 'uidvalidity'])
    .where('account', '=', account)
    .where('name', '=', 'INBOX')
    .executeTakeFirst();
  if (inbox === undefined) return { listing: EMPTY, read: async () => undefined, remove: async () => {} };
  return {
    listing: await list(deps.database, inbox),
    read: (uid) => readMessage(deps, inbox.id, uid),
    remove: (uids) => removeMessages(deps, { account, mailboxId: inbox.id }, uids),
  };
}

async function list(database: StoreDatabase, inbox: { readonly id: number; readonly uidvalidity: number }): Promise<Listing> {
  const uids: number[] = [];
  const octets: number[] = [];
  for (let last = 0; ; ) {
    const rows = await database
      .selectFrom('messages')
      .select(['uid', 'octets'])
      .where('mailbox_id', '=', inbox.id)
      .where('uid', '>', last)
      .orderBy('uid')
      .limit(ROWS_PER_PAGE)
      .execute();
    for (const row of rows) {
      uids.push(row.uid);
      octets.push(row.octets);
    }
    last = uids.at(-1) ?? 0;
    if (rows.length < ROWS_PER_PAGE) return { uidvalidity: inbox.uidvalidity, uids, octets };
  }
}

async function readMessage({ database, blobs }: MaildropDeps, mailboxId: number, uid: number): Promise<MessageSource | undefined> {
  const row = await database
    .selectFrom('messages')
    .innerJoin('bodies', 'bodies.queue_id', 'messages.body')
    .select(['messages.octets as total', 'header', 'bodies.octets', 'blob', 'part_octets', 'content'])
    .where('mailbox_id', '=', mailboxId)
    .where('uid', '=', uid)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const body = readBody(blobs, row satisfies BodyRow);
  const { value: first } = await body.next();
  return { octets: row.total, chunks: inOrder([Buffer.from(row.header), ...(first ? [first] : [])], body) };
}

async function* inOrder(first: readonly Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* first;
  yield* rest;
}

function removeMessages(
  { database, nowMs }: MaildropDeps,
  { account, mailboxId }: { readonly account: string; readonly mailboxId: number },
  uids: readonly number[],
): Promise<void> {
  return inTransaction(database, async (transaction) => {
    let octets = 0;
    let count = 0;
    for (const chunk of chunksOf(uids)) {
      const gone = await transaction
        .deleteFrom('messages')
        .where('mailbox_id', '=', mailboxId)
        .where('uid', 'in', chunk)
        .returning(['octets', 'body'])
        .execute();
      for (const row of gone) octets += row.octets;
      count += gone.length;
      for (const loose of chunksOf([...new Set(gone.map(({ body }) => body))])) {
        await transaction
          .insertInto('loose_bodies')
          .values(loose.map((body) => ({ queue_id: body, since_ms: nowMs() })))
          .onConflict((conflict) => conflict.column('queue_id').doUpdateSet(({ ref }) => ({ since_ms: ref('excluded.since_ms') })))
          .execute();
      }
    }
    await transaction
      .updateTable('mailboxes')
      .set(({ eb }) => ({ highestmodseq: eb('highestmodseq', '+', 1) }))
      .where('id', '=', mailboxId)
      .execute();
    await transaction
      .updateTable('accounts')
      .set(({ eb }) => ({ usage_octets: eb('usage_octets', '-', octets), message_count: eb('message_count', '-', count) }))
      .where('account', '=', account)
      .execute();
  });
}
