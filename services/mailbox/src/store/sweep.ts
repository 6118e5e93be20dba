import type { BlobStore } from '@angarium/blob';
import { inTransaction, isPostgres } from '@angarium/sql';
import { deleteBody } from './bodies.ts';
import type { StoreDatabase } from './schema.ts';

/** Rows per transaction: deliveries wait for one no longer than for a commit of theirs. */
const STEP = 128;

/** Forgets one step of deliveries from before `beforeMs`; tells whether more are left. */
export async function sweepLedger(database: StoreDatabase, beforeMs: number): Promise<boolean> {
  const old = database
    .selectFrom('ledger')
    .select(['queue_id', 'address'])
    .where('at_ms', '<', beforeMs)
    .orderBy('at_ms')
    .limit(STEP)
    // Another process sweeps those.
    .$if(isPostgres(database), (query) => query.forUpdate().skipLocked());
  const { numDeletedRows } = await database
    .deleteFrom('ledger')
    .where(({ eb, refTuple }) => eb(refTuple('queue_id', 'address'), 'in', old.$asTuple('queue_id', 'address')))
    .executeTakeFirst();
  return Number(numDeletedRows) === STEP;
}

/**
 * Deletes one step of bodies that lost their last message before `beforeMs`; whether messages name them is looked up in
 * the transaction that deletes the rows. Blobs go after the commit: a crash leaves them to the search of the blob store.
 * Several processes may sweep and deliver at once.
 */
export async function sweepBodies(database: StoreDatabase, blobs: BlobStore, beforeMs: number): Promise<boolean> {
  const { looked, gone } = await inTransaction(database, async (transaction) => {
    const loose = await transaction
      .selectFrom('loose_bodies')
      .select('queue_id')
      .where('since_ms', '<', beforeMs)
      .orderBy('since_ms')
      .limit(STEP)
      .$if(isPostgres(transaction), (query) => query.forUpdate().skipLocked())
      .execute();
    const ids = loose.map(({ queue_id }) => queue_id);
    if (ids.length === 0) return { looked: 0, gone: [] };
    // Deliveries that name one of them are done then, and the next statement sees their messages.
    if (isPostgres(transaction)) {
      await transaction.selectFrom('bodies').select('queue_id').where('queue_id', 'in', ids).orderBy('queue_id').forUpdate().execute();
    }
    const gone = await transaction
      .deleteFrom('bodies')
      .where('queue_id', 'in', ids)
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('messages').select('messages.uid').whereRef('messages.body', '=', 'bodies.queue_id'))),
      )
      .returning(['blob', 'octets', 'part_octets'])
      .execute();
    await transaction.deleteFrom('loose_bodies').where('queue_id', 'in', ids).execute();
    return { looked: ids.length, gone };
  });
  for (const { blob, octets, part_octets } of gone) {
    if (blob !== null) await deleteBody(blobs, { blob, octets, part_octets });
  }
  return looked === STEP;
}
