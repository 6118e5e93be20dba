import { inTransaction, isPostgres } from '@angarium/sql';
import type { Transaction } from 'kysely';
import { chunksOf } from './chunks.ts';
import type { MailboxTables, StoreDatabase } from './schema.ts';

/** A body as it is to be stored: in the row, or in the blobs of that name. */
export type NewBody =
  | { readonly is: 'inline'; readonly content: Uint8Array }
  | { readonly is: 'blobs'; readonly blob: string; readonly partOctets: number }
  /** The body's row was seen before: no blob was written for this delivery. */
  | { readonly is: 'known' };

export interface NewRecipient {
  readonly account: string;
  readonly address: string;
  /** 0: no limit. */
  readonly quotaOctets: number;
  /** Header lines of this recipient. */
  readonly header: string;
}

export interface NewDelivery {
  readonly queueId: string;
  readonly octets: number;
  readonly body: NewBody;
  readonly recipients: readonly NewRecipient[];
}

/** `known`: stored by an earlier delivery. `bodyGone`: the body that was `known` has been swept since; bring it again. */
export type Verdict =
  | { readonly is: 'stored'; readonly uid: number; readonly octets: number }
  | { readonly is: 'known' | 'overQuota' | 'bodyGone' };

/** Verdicts of one delivery, in the order of its recipients. */
export interface Stored {
  readonly verdicts: readonly Verdict[];
  /** False: another row holds the body, or none was needed. Blobs written for this delivery are named by nothing. */
  readonly bodyTaken: boolean;
}

/** Octets of a body differ from those of the row with the same queue id: two messages with one id. */
class BodyMismatch extends Error {
  override readonly name = 'BodyMismatch';
}

const INBOX = 'INBOX';

/**
 * Stores deliveries in one transaction: ledger rows first, then UIDs under the write lock, then messages. When it
 * resolves, all of it is durable; when it rejects, none is, or the commit is in doubt and a retry finds the ledger.
 *
 * Several processes may store at once: a delivery that another one is storing is waited for at its ledger row, an account
 * at its inbox, whose row is locked until the commit.
 */
export function storeGroup(database: StoreDatabase, group: readonly NewDelivery[], nowMs: number): Promise<readonly Stored[]> {
  return inTransaction(database, async (transaction) => {
    const entering = enterLedger(transaction, group, nowMs);
    // Others wait for a ledger row while they have no inbox, so that none waits for the other.
    if (isPostgres(transaction)) await entering;
    // Asked together: they go to the database in one message.
    const [fresh, bodies, inboxes] = await allEnded([
      entering,
      knownBodies(
        transaction,
        group.map(({ queueId }) => queueId),
      ),
      openInboxes(transaction, group, nowMs),
    ]);
    const draft: Draft = { fresh, bodies, inboxes, nowMs, decided: new Map(), notStored: [], messages: [], newBodies: [] };
    const stored = group.map((delivery) => decideDelivery(draft, delivery));
    const taken = await write(transaction, draft);
    return stored.map(({ verdicts, bodyTaken }, at) => ({ verdicts, bodyTaken: bodyTaken && taken.has(group[at]?.queueId ?? '') }));
  });
}

interface Inbox {
  readonly id: number;
  readonly account: string;
  readonly uidvalidity: number;
  uidnext: number;
  highestmodseq: number;
  usageOctets: number;
  messageCount: number;
  isChanged: boolean;
}

/** What the transaction is going to write, filled delivery by delivery. */
interface Draft {
  /** Ledger rows that this transaction made. */
  readonly fresh: ReadonlySet<string>;
  readonly bodies: Map<string, number>;
  readonly inboxes: ReadonlyMap<string, Inbox>;
  readonly nowMs: number;
  /** By ledger row: a second request for the same delivery in one group gets the first one's verdict. */
  readonly decided: Map<string, Verdict>;
  /** Ledger rows to take back. */
  readonly notStored: { readonly queue_id: string; readonly address: string }[];
  readonly messages: MailboxTables['messages'][];
  readonly newBodies: MailboxTables['bodies'][];
}

/** Neither part holds a NUL. */
const ledgerKey = (queueId: string, address: string): string => `${queueId}\0${address}`;

/** As `Promise.all`, but rejects when all have ended: what is asked after a rollback would be done outside of the transaction. */
async function allEnded<const Asked extends readonly Promise<unknown>[]>(asked: Asked) {
  await Promise.allSettled(asked);
  return Promise.all(asked);
}

/** Rows are locked in one order in all processes: two that want the same ones do not wait for each other. */
const inOrder = <T>(rows: readonly T[], keyOf: (row: T) => string): readonly T[] =>
  rows.length < 2
    ? rows
    : rows
        .map((row) => [keyOf(row), row] as const)
        .sort(([a], [b]) => (a < b ? -1 : Number(a > b)))
        .map(([, row]) => row);

async function enterLedger(
  transaction: Transaction<MailboxTables>,
  group: readonly NewDelivery[],
  nowMs: number,
): Promise<ReadonlySet<string>> {
  const rows = group.flatMap(({ queueId, recipients }) => recipients.map(({ address }) => ({ queue_id: queueId, address, at_ms: nowMs })));
  const fresh = new Set<string>();
  for (const chunk of chunksOf(inOrder(rows, ({ queue_id, address }) => ledgerKey(queue_id, address)))) {
    const made = await transaction
      .insertInto('ledger')
      .values(chunk)
      .onConflict((conflict) => conflict.doNothing())
      .returning(['queue_id', 'address'])
      .execute();
    for (const { queue_id, address } of made) fresh.add(ledgerKey(queue_id, address));
  }
  return fresh;
}

async function knownBodies(transaction: Transaction<MailboxTables>, queueIds: readonly string[]): Promise<Map<string, number>> {
  const known = new Map<string, number>();
  for (const chunk of chunksOf([...new Set(queueIds)])) {
    const rows = await transaction
      .selectFrom('bodies')
      .select(['queue_id', 'octets'])
      .where('queue_id', 'in', chunk)
      // No other process sweeps them before the commit.
      .$if(isPostgres(transaction), (query) => query.forKeyShare())
      .execute();
    for (const { queue_id, octets } of rows) known.set(queue_id, octets);
  }
  return known;
}

/** The inboxes of all recipients, made where they are missing. */
async function openInboxes(
  transaction: Transaction<MailboxTables>,
  group: readonly NewDelivery[],
  nowMs: number,
): Promise<ReadonlyMap<string, Inbox>> {
  const wanted = inOrder([...new Set(group.flatMap(({ recipients }) => recipients.map(({ account }) => account)))], (account) => account);
  const inboxes = await findInboxes(transaction, wanted);
  const missing = wanted.filter((account) => !inboxes.has(account));
  if (missing.length === 0) return inboxes;
  const uidvalidity = Math.max(1, Math.floor(nowMs / 1000) % 2 ** 32);
  for (const chunk of chunksOf(missing)) {
    const accounts = chunk.map((account) => ({ account, usage_octets: 0, message_count: 0 }));
    await transaction
      .insertInto('accounts')
      .values(accounts)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const mailboxes = chunk.map((account) => ({ account, name: INBOX, uidvalidity, uidnext: 1, highestmodseq: 1 }));
    await transaction
      .insertInto('mailboxes')
      .values(mailboxes)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  for (const [account, inbox] of await findInboxes(transaction, missing)) inboxes.set(account, inbox);
  return inboxes;
}

async function findInboxes(transaction: Transaction<MailboxTables>, accounts: readonly string[]): Promise<Map<string, Inbox>> {
  const found = new Map<string, Inbox>();
  for (const chunk of chunksOf(accounts)) {
    const rows = await transaction
      .selectFrom('mailboxes')
      .innerJoin('accounts', 'accounts.account', 'mailboxes.account')
      .select(['id', 'mailboxes.account', 'uidvalidity', 'uidnext', 'highestmodseq', 'usage_octets', 'message_count'])
      .where('mailboxes.account', 'in', chunk)
      .where('name', '=', INBOX)
      .$if(isPostgres(transaction), (query) => query.orderBy('mailboxes.account').forNoKeyUpdate())
      .execute();
    for (const { usage_octets, message_count, ...row } of rows) {
      found.set(row.account, { ...row, usageOctets: usage_octets, messageCount: message_count, isChanged: false });
    }
  }
  return found;
}

function decideDelivery(draft: Draft, delivery: NewDelivery): Stored {
  const knownOctets = draft.bodies.get(delivery.queueId);
  mustMatch(delivery.queueId, delivery.octets, knownOctets);
  const bodiesBefore = draft.newBodies.length;
  const verdicts = delivery.recipients.map((recipient) => {
    const key = ledgerKey(delivery.queueId, recipient.address);
    const verdict = draft.decided.get(key) ?? decideRecipient(draft, delivery, recipient);
    draft.decided.set(key, verdict.is === 'stored' ? { is: 'known' } : verdict);
    return verdict;
  });
  return { verdicts, bodyTaken: draft.newBodies.length > bodiesBefore };
}

function decideRecipient(draft: Draft, delivery: NewDelivery, recipient: NewRecipient): Verdict {
  if (!draft.fresh.has(ledgerKey(delivery.queueId, recipient.address))) return { is: 'known' };
  const inbox = draft.inboxes.get(recipient.account);
  if (inbox === undefined) throw new Error(`no inbox was made for ${recipient.account}`);
  const octets = Buffer.byteLength(recipient.header) + delivery.octets;
  const refuse = (is: 'overQuota' | 'bodyGone'): Verdict => {
    draft.notStored.push({ queue_id: delivery.queueId, address: recipient.address });
    return { is };
  };
  if (recipient.quotaOctets > 0 && inbox.usageOctets + octets > recipient.quotaOctets) return refuse('overQuota');
  if (!draft.bodies.has(delivery.queueId)) {
    if (delivery.body.is === 'known') return refuse('bodyGone');
    draft.newBodies.push(bodyRow(delivery, delivery.body));
    draft.bodies.set(delivery.queueId, delivery.octets);
  }
  inbox.usageOctets += octets;
  inbox.messageCount += 1;
  inbox.highestmodseq += 1;
  inbox.isChanged = true;
  const uid = inbox.uidnext++;
  draft.messages.push({
    mailbox_id: inbox.id,
    uid,
    modseq: inbox.highestmodseq,
    flags: '',
    internal_date_ms: draft.nowMs,
    octets,
    header: recipient.header,
    body: delivery.queueId,
  });
  return { is: 'stored', uid, octets };
}

function bodyRow({ queueId, octets }: NewDelivery, body: Exclude<NewBody, { is: 'known' }>): MailboxTables['bodies'] {
  return body.is === 'inline'
    ? { queue_id: queueId, octets, blob: null, part_octets: 0, content: body.content }
    : { queue_id: queueId, octets, blob: body.blob, part_octets: body.partOctets, content: null };
}

/** Gives the queue ids whose body's row was made here: another process may have been first. */
async function write(transaction: Transaction<MailboxTables>, draft: Draft): Promise<ReadonlySet<string>> {
  const taken = new Set<string>();
  const writes: Promise<unknown>[] = [];
  for (const { queue_id, address } of draft.notStored) {
    writes.push(transaction.deleteFrom('ledger').where('queue_id', '=', queue_id).where('address', '=', address).execute());
  }
  const newBodies = inOrder(draft.newBodies, ({ queue_id }) => queue_id);
  for (const chunk of chunksOf(newBodies)) writes.push(insertBodies(transaction, chunk, taken));
  for (const chunk of chunksOf(draft.messages)) writes.push(transaction.insertInto('messages').values(chunk).execute());
  const changed = [...draft.inboxes.values()].filter(({ isChanged }) => isChanged);
  for (const chunk of chunksOf(changed)) writes.push(...updateInboxes(transaction, chunk));
  await allEnded(writes);
  const foreign = newBodies.filter(({ queue_id }) => !taken.has(queue_id));
  if (foreign.length > 0) await mustBeSame(transaction, foreign);
  return taken;
}

async function insertBodies(
  transaction: Transaction<MailboxTables>,
  rows: readonly MailboxTables['bodies'][],
  taken: Set<string>,
): Promise<void> {
  const made = await transaction
    .insertInto('bodies')
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .returning('queue_id')
    .execute();
  for (const { queue_id } of made) taken.add(queue_id);
}

/** @throws BodyMismatch when another process stored another message under one of the queue ids meanwhile */
async function mustBeSame(transaction: Transaction<MailboxTables>, bodies: readonly MailboxTables['bodies'][]): Promise<void> {
  const found = await knownBodies(
    transaction,
    bodies.map(({ queue_id }) => queue_id),
  );
  for (const { queue_id, octets } of bodies) mustMatch(queue_id, octets, found.get(queue_id));
}

function mustMatch(queueId: string, octets: number, knownOctets: number | undefined): void {
  if (knownOctets === undefined || knownOctets === octets) return;
  throw new BodyMismatch(`${queueId}: ${octets} octets, ${knownOctets} are stored`);
}

function updateInboxes(transaction: Transaction<MailboxTables>, inboxes: readonly Inbox[]): Promise<unknown>[] {
  const accounts = inboxes.map(({ account, usageOctets, messageCount }) => ({
    account,
    usage_octets: usageOctets,
    message_count: messageCount,
  }));
  const mailboxes = inboxes.map(({ id, account, uidvalidity, uidnext, highestmodseq }) => {
    return { id, account, name: INBOX, uidvalidity, uidnext, highestmodseq };
  });
  return [
    transaction
      .insertInto('accounts')
      .values(accounts)
      .onConflict((conflict) =>
        conflict.column('account').doUpdateSet(({ ref }) => ({
          usage_octets: ref('excluded.usage_octets'),
          message_count: ref('excluded.message_count'),
        })),
      )
      .execute(),
    transaction
      .insertInto('mailboxes')
      .values(mailboxes)
      .onConflict((conflict) =>
        conflict.column('id').doUpdateSet(({ ref }) => ({
          uidnext: ref('excluded.uidnext'),
          highestmodseq: ref('excluded.highestmodseq'),
        })),
      )
      .execute(),
  ];
}
