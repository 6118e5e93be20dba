import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { copySqlite, openSqlite } from './index.ts';

interface DB {
  pair: { one: number; other: number };
}

/** Each transaction writes a pair of equal numbers, row by row; says when the first is there. */
const WRITER = `
import { openSqlite } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
import { sql } from 'kysely';
const up = (db) => sql\`create table pair (one integer, other integer)\`.execute(db);
const { db } = await openSqlite({ file: process.argv[1], migrations: { '1': { up } } });
for (let at = 0; ; at++) {
  await db.transaction().execute(async (t) => {
    await t.insertInto('pair').values({ one: at, other: -1 }).execute();
    await t.updateTable('pair').set({ other: at }).where('one', '=', at).execute();
  });
  if (at === 0) process.stdout.write('ready');
}`;

test('a copy made while another process writes is whole, of one instant and for its owner alone', async () => {
  const root = await mkdtemp(join(tmpdir(), 'angarium-sql-'));
  const file = join(root, 'live.sqlite');
  const writer = spawn(process.execPath, ['-e', WRITER, file], { cwd: import.meta.dirname });
  const ended = once(writer, 'close');
  try {
    await once(writer.stdout, 'data');
    const copies = [join(root, '1.sqlite'), join(root, '2.sqlite')];
    for (const copy of copies) {
      await copySqlite(file, copy);
      assert.equal((await stat(copy)).mode & 0o077, 0);
    }
    await assert.rejects(copySqlite(file, join(root, '1.sqlite')), { code: 'EEXIST' });
    writer.kill('SIGKILL');
    await ended;
    for (const copy of copies) {
      const { db, close } = await openSqlite<DB>({ file: copy, migrations: { '1': { up: async () => {} } } });
      const pairs = await db.selectFrom('pair').selectAll().orderBy('one').execute();
      assert.ok(pairs.length > 0);
      assert.deepEqual(
        pairs,
        pairs.map((_, at) => ({ one: at, other: at })),
      );
      await close();
    }
  } finally {
    writer.kill('SIGKILL');
    await ended;
    await rm(root, { recursive: true, force: true });
  }
});
