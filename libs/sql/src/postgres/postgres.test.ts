import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { sql } from 'kysely';
import { createTestDatabase, type TestDatabase } from '../../../../test/postgres/database.ts';
import { openPostgres, type PostgresOptions, SqlError } from '../index.ts';

interface Tables {
  item: { id: number };
}

let runs = 0;
const first = {
  up: async (db: Parameters<NonNullable<PostgresOptions['migrations'][string]>['up']>[0]) => {
    runs += 1;
    await sql`create table item (id integer primary key)`.execute(db);
  },
};
const second = { up: async () => {} };
const POOL = { schema: 'test', applicationName: 'test', maxConnections: 2, maxWaiting: 10 };
const TIMEOUTS = { connectTimeoutMs: 2000, statementTimeoutMs: 5000, lockTimeoutMs: 2000 };
const open = (server: TestDatabase, options: Partial<PostgresOptions> = {}) =>
  openPostgres<Tables>({ ...server, ...POOL, ...TIMEOUTS, migrations: { first }, ...options });

test('processes that start at once bring the tables up to date once', async () => {
  const server = await createTestDatabase();
  runs = 0;
  const opened = await Promise.all(Array.from({ length: 5 }, () => open(server)));
  assert.equal(runs, 1);
  for (const { close } of opened) await close();
});

test('tables of a newer release are refused, and left as they are', async () => {
  const server = await createTestDatabase();
  await (await open(server, { migrations: { first, second } })).close();
  await assert.rejects(open(server), /its tables cannot be brought up to date: .*second/);
  await (await open(server, { migrations: { first, second } })).close();
});

test('a wrong password, a missing database, a role and a server that is away are told with what to check', async (t) => {
  const server = await createTestDatabase();
  const wrongFile = `${server.passwordFile}.wrong`;
  await writeFile(wrongFile, 'wrong');
  t.after(() => rm(wrongFile));
  const wrong: readonly (readonly [Partial<PostgresOptions>, RegExp])[] = [
    [{ passwordFile: wrongFile }, /password authentication failed.*passwordFile/],
    [{ database: 'no_such' }, /no_such.*create database/],
    [{ user: 'nobody_here' }, /authentication failed.*check user/],
    [{ port: 1 }, /127\.0\.0\.1:1\/.*is the server running there/],
  ];
  for (const [options, sentence] of wrong) {
    await assert.rejects(open(server, options), (error) => {
      assert.ok(error instanceof SqlError, String(error));
      assert.match(error.message, sentence);
      return error.trouble === 'unavailable';
    });
  }
});

test('a held name is refused to all others, and is free when its holder lets go, is closed or is cut off', async () => {
  const server = await createTestDatabase();
  const [one, other] = await Promise.all([open(server), open(server)]);
  let lost = () => {};
  const isLost = new Promise<void>((resolve) => {
    lost = resolve;
  });
  const hold = await one.hold('a', () => {});
  assert.ok(hold);
  assert.equal(await other.hold('a', () => {}), undefined);
  assert.equal(await one.hold('a', () => {}), undefined);
  await hold.release();
  await hold.release();
  assert.ok(await other.hold('a', lost));
  await sql`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'
    and database = (select oid from pg_database where datname = current_database())`.execute(one.db);
  await isLost;
  assert.ok(await one.hold('a', () => {}));
  await one.close();
  assert.ok(await other.hold('a', () => {}));
  await other.close();
});

test('a transaction that fails keeps nothing, and its connection serves the next', async () => {
  const { db, close } = await open(await createTestDatabase(), { maxConnections: 1 });
  const insert = (ids: readonly number[]) =>
    db.transaction().execute(async (transaction) => {
      for (const id of ids) await transaction.insertInto('item').values({ id }).execute();
    });
  await assert.rejects(insert([1, 1]), (error) => error instanceof SqlError && error.trouble === 'constraint');
  await insert([2]);
  assert.deepEqual(await db.selectFrom('item').selectAll().execute(), [{ id: 2 }]);
  await close();
});
