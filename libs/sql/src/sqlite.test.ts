import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Generated, type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import { openSqlite, type Sqlite } from './index.ts';

interface DB {
  box: { id: Generated<number>; name: string; next: number; flag?: number | null };
  letter: { box: number; uid: number; text: string };
}

const first: Migration = {
  up: async (db: Kysely<unknown>) => {
    await db.schema
      .createTable('box')
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .addColumn('name', 'text', (column) => column.notNull().unique())
      .addColumn('next', 'integer', (column) => column.notNull())
      .addColumn('flag', 'integer')
      .execute();
    await db.schema
      .createTable('letter')
      .addColumn('box', 'integer', (column) => column.notNull().references('box.id'))
      .addColumn('uid', 'integer', (column) => column.notNull())
      .addColumn('text', 'text', (column) => column.notNull())
      .execute();
  },
};
const migrations = { '001-first': first };

const root = await mkdtemp(join(tmpdir(), 'angarium-sql-'));
after(() => rm(root, { recursive: true, force: true }));
let files = 0;

async function withSqlite(use: (sqlite: Sqlite<DB>, file: string) => Promise<void>, maxWaiting = 10_000): Promise<void> {
  const file = join(root, `${files++}.sqlite`);
  const sqlite = await openSqlite<DB>({ file, migrations, maxWaiting });
  try {
    await use(sqlite, file);
  } finally {
    await sqlite.close();
  }
}

const addBox = (db: Kysely<DB>, name: string) => db.insertInto('box').values({ name, next: 1 });
const names = async (db: Kysely<DB>) => (await db.selectFrom('box').select('name').orderBy('name').execute()).map(({ name }) => name);

test('rows come back with values, ids and counts, and outlive a close', async () => {
  const file = join(root, 'kept.sqlite');
  const sqlite = await openSqlite<DB>({ file, migrations });
  const added = await addBox(sqlite.db, 'inbox').executeTakeFirstOrThrow();
  assert.equal(added.insertId, 1n);
  const changed = await sqlite.db.updateTable('box').set({ flag: 1 }).executeTakeFirstOrThrow();
  assert.equal(changed.numUpdatedRows, 1n);
  await sqlite.close();
  await sqlite.close();
  await assert.rejects(sqlite.db.selectFrom('box').selectAll().execute(), /closed/);
  const again = await openSqlite<DB>({ file, migrations });
  assert.deepEqual(await again.db.selectFrom('box').selectAll().execute(), [{ id: 1, name: 'inbox', next: 1, flag: 1 }]);
  await again.close();
  assert.equal((await stat(file)).mode & 0o077, 0);
  await assert.rejects(stat(`${file}-wal`), { code: 'ENOENT' });
});

test('the journal is a write-ahead log that is synced at each commit', () =>
  withSqlite(async ({ db }) => {
    const { rows } = await sql<{ journal_mode: string }>`pragma journal_mode`.execute(db);
    assert.equal(rows[0]?.journal_mode, 'wal');
    const level = await sql<{ synchronous: number }>`pragma synchronous`.execute(db);
    assert.equal(level.rows[0]?.synchronous, 2);
  }));

test('booleans are kept as 0 and 1', () =>
  withSqlite(async ({ db }) => {
    await addBox(db, 'inbox').execute();
    await sql`update box set flag = ${true}`.execute(db);
    assert.equal((await db.selectFrom('box').select('flag').executeTakeFirstOrThrow()).flag, 1);
  }));

test('transactions run one after the other and see what the earlier ones wrote', () =>
  withSqlite(async ({ db }) => {
    await addBox(db, 'inbox').execute();
    const take = () =>
      db.transaction().execute(async (trx) => {
        const { next } = await trx.selectFrom('box').select('next').executeTakeFirstOrThrow();
        await trx
          .updateTable('box')
          .set({ next: next + 1 })
          .execute();
        return next;
      });
    const taken = await Promise.all(Array.from({ length: 50 }, take));
    assert.deepEqual(
      taken,
      Array.from({ length: 50 }, (_, at) => at + 1),
    );
  }));

test('statements outside of a transaction wait for its end', () =>
  withSqlite(async ({ db }) => {
    const order: string[] = [];
    const transaction = db.transaction().execute(async (trx) => {
      await addBox(trx, 'one').execute();
      await addBox(trx, 'two').execute();
      order.push('transaction');
    });
    const outside = names(db).then((found) => order.push(`outside saw ${found.length}`));
    await Promise.all([transaction, outside]);
    assert.equal(order[0], 'transaction');
    assert.match(order[1] ?? '', /outside saw [02]/);
  }));

test('a transaction that throws leaves nothing, and the next one works', () =>
  withSqlite(async ({ db }) => {
    const failing = db.transaction().execute(async (trx) => {
      await addBox(trx, 'lost').execute();
      throw new Error('enough');
    });
    await assert.rejects(failing, /enough/);
    await db.transaction().execute(async () => {});
    await db.transaction().execute((trx) => addBox(trx, 'kept').execute());
    assert.deepEqual(await names(db), ['kept']);
  }));

test('a refused row is an error with its code', () =>
  withSqlite(async ({ db }) => {
    await addBox(db, 'inbox').execute();
    await assert.rejects(addBox(db, 'inbox').execute(), { name: 'SqlError', code: 'SQLITE_CONSTRAINT_UNIQUE' });
    const letter = db.insertInto('letter').values({ box: 77, uid: 1, text: '' });
    await assert.rejects(letter.execute(), { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' });
  }));

test('a savepoint takes back a part of a transaction', () =>
  withSqlite(async ({ db }) => {
    const trx = await db.startTransaction().execute();
    await addBox(trx, 'kept').execute();
    const point = await trx.savepoint('here').execute();
    await addBox(point, 'taken back').execute();
    await point.rollbackToSavepoint('here').execute();
    await trx.commit().execute();
    assert.deepEqual(await names(db), ['kept']);
  }));

test('a batch gives the result of each step', () =>
  withSqlite(async ({ db, batch }) => {
    await addBox(db, 'inbox').execute();
    const [taken, stored] = await batch([
      { query: db.updateTable('box').set({ next: sql`next + 1` }).returning('next') },
      { query: db.insertInto('letter').columns(['box', 'uid', 'text']).expression(sql`select id, next - 1, ${'hello'} from box`) },
    ]);
    assert.deepEqual(taken?.rows, [{ next: 2 }]);
    assert.equal(stored?.affected, 1);
    assert.deepEqual(await db.selectFrom('letter').selectAll().execute(), [{ box: 1, uid: 1, text: 'hello' }]);
  }));

test('a step without rows ends the batch: stop keeps what was done, undo takes it back, goOn goes on', () =>
  withSqlite(async ({ db, batch }) => {
    const none = db.updateTable('box').set({ next: 9 }).where('name', '=', 'nobody');
    const attempt = (ifNone: 'goOn' | 'stop' | 'undo') =>
      batch([{ query: addBox(db, ifNone) }, { query: none, ifNone }, { query: addBox(db, `${ifNone} after`) }]);
    assert.equal((await attempt('stop'))[2], undefined);
    assert.equal((await attempt('undo'))[2], undefined);
    assert.equal((await attempt('goOn'))[2]?.affected, 1);
    assert.deepEqual(await names(db), ['goOn', 'goOn after', 'stop']);
  }));

test('batches that wait together fail alone', () =>
  withSqlite(async ({ db, batch }) => {
    const results = await Promise.allSettled(
      ['a', 'b', 'a', 'c'].map((name) => batch([{ query: addBox(db, `${name} first`) }, { query: addBox(db, name) }])),
    );
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(await names(db), ['a', 'a first', 'b', 'b first', 'c', 'c first']);
  }));

test('batches and transactions keep their order', () =>
  withSqlite(async ({ db, batch }) => {
    await addBox(db, 'inbox').execute();
    const step = (text: string) => batch([{ query: db.insertInto('letter').values({ box: 1, uid: 0, text }) }]);
    const transaction = (text: string) =>
      db.transaction().execute(async (trx) => {
        await trx
          .insertInto('letter')
          .values({ box: 1, uid: 0, text: `${text}1` })
          .execute();
        await trx
          .insertInto('letter')
          .values({ box: 1, uid: 0, text: `${text}2` })
          .execute();
      });
    await Promise.all([transaction('a'), step('b'), step('c'), transaction('d'), step('e')]);
    const stored = (await db.selectFrom('letter').select('text').orderBy(sql`rowid`).execute()).map(({ text }) => text).join(' ');
    assert.ok(stored.includes('a1 a2'));
    assert.ok(stored.includes('d1 d2'));
    assert.equal(stored.length, 'a1 a2 b c d1 d2 e'.length);
  }));

const limitPages = async (db: Kysely<DB>, more: number) => {
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(db);
  await sql`pragma max_page_count = ${sql.lit((rows[0]?.page_count ?? 0) + more)}`.execute(db);
};
const letter = (db: Kysely<DB>, text: string) => db.insertInto('letter').values({ box: 1, uid: 0, text });
const LARGE = 'x'.repeat(200_000);

test('a full disk rejects what needs room, keeps nothing of it, and later calls heal', () =>
  withSqlite(async ({ db, batch }) => {
    await addBox(db, 'inbox').execute();
    await limitPages(db, 2);
    await assert.rejects(letter(db, LARGE).execute(), { code: 'SQLITE_FULL' });
    const together = await Promise.allSettled(['small', LARGE].map((text) => batch([{ query: letter(db, text) }])));
    assert.equal(together[1]?.status, 'rejected');
    const stored = await db.selectFrom('letter').select('text').execute();
    assert.deepEqual(
      stored.map(({ text }) => text),
      together[0]?.status === 'fulfilled' ? ['small'] : [],
    );
    await limitPages(db, 1000);
    await Promise.all([letter(db, LARGE).execute(), batch([{ query: letter(db, LARGE) }])]);
  }));

test('a transaction that SQLite ended by itself keeps nothing, even when its error is ignored', () =>
  withSqlite(async ({ db }) => {
    await addBox(db, 'inbox').execute();
    const ignoring = db.transaction().execute(async (trx) => {
      await addBox(trx, 'first').execute();
      await sql`rollback`.execute(trx);
      await addBox(trx, 'second').execute();
    });
    await assert.rejects(ignoring, /rolled back/);
    assert.deepEqual(await names(db), ['inbox']);
  }));

test('more calls than may wait are refused, those that wait are served', () =>
  withSqlite(async ({ db }) => {
    const results = await Promise.allSettled(Array.from({ length: 30 }, (_, at) => addBox(db, `box ${at}`).execute()));
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 10);
    assert.equal(refused[0]?.reason.name, 'SqlBusy');
    assert.equal((await names(db)).length, 20);
  }, 20));

test('a backup made while rows are written is a whole database', () =>
  withSqlite(async ({ db, batch, backup }, file) => {
    await addBox(db, 'inbox').execute();
    const copy = `${file}.copy`;
    const writes = Array.from({ length: 200 }, (_, at) => batch([{ query: letter(db, `${at} ${'x'.repeat(5000)}`) }]));
    await Promise.all([backup(copy), ...writes]);
    const restored = await openSqlite<DB>({ file: copy, migrations });
    assert.deepEqual(await names(restored.db), ['inbox']);
    const check = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(restored.db);
    assert.equal(check.rows[0]?.integrity_check, 'ok');
    await restored.close();
    await assert.rejects(backup(join(root, 'no', 'such', 'folder')), { name: 'SqlError' });
  }));

test('a migration that fails leaves the tables as they were, and says so with the file', async () => {
  const file = join(root, 'migrated.sqlite');
  const broken: Migration = {
    up: async (db: Kysely<unknown>) => {
      await db.schema.createTable('half').addColumn('id', 'integer').execute();
      await sql`nonsense`.execute(db);
    },
  };
  await assert.rejects(
    openSqlite({ file, migrations: { ...migrations, '002-broken': broken } }),
    new RegExp(`${file}.*brought up to date`),
  );
  const sqlite = await openSqlite<DB>({ file, migrations });
  assert.deepEqual(
    (await sqlite.db.introspection.getTables()).map(({ name }) => name),
    ['box', 'letter'],
  );
  await sqlite.close();
});

test('a file of a newer release is refused', async () => {
  const file = join(root, 'newer.sqlite');
  await (await openSqlite<DB>({ file, migrations: { ...migrations, '999-later': { up: async () => {} } } })).close();
  await assert.rejects(openSqlite<DB>({ file, migrations }), /999-later/);
});

test('a file that cannot be opened is an error', async () => {
  await assert.rejects(openSqlite<DB>({ file: join(root, 'no', 'such', 'folder.sqlite'), migrations }), { code: 'ENOENT' });
});
