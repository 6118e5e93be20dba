import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { DeliverResult } from '@angarium/rpc';
import { sql } from 'kysely';
import { message, startTestMailbox, type TestMailbox, to } from './testing/fixture.ts';
import { connectPop3, logIn, readAll } from './testing/pop3-client.ts';

/* Several mailbox services over one PostgreSQL database and one blob store. */

const ANN = 'ann@example.org';
const BEN = 'ben@example.org';
const BIG = Buffer.concat([message('Subject: big\n\n'), Buffer.alloc(1_200_000, 'x'), message('\n')]);
const DAY_MS = 86_400_000;
const { STORED, OVER_QUOTA, UNAVAILABLE } = DeliverResult;

let boxes: [TestMailbox, TestMailbox];
async function start(): Promise<[TestMailbox, TestMailbox]> {
  const first = await startTestMailbox({ accounts: [ANN, BEN], engine: 'postgres' });
  boxes = [first, await first.replica()];
  return boxes;
}
afterEach(async () => {
  await boxes[1].close();
  await boxes[0].close();
});

const pop3s = ({ service }: TestMailbox) => service.addresses.pop3s[0] ?? '';
const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);

test('one delivery given to both at once is stored once, small or big', async () => {
  const [first, second] = await start();
  const deliveries = numbers(60).flatMap((number) => {
    const request = { queueId: `q${number}`, recipients: to(ANN, BEN), ...(number % 20 === 0 && { content: BIG }) };
    return [first, second].map((box) => box.deliver(request));
  });
  for (const results of await Promise.all(deliveries)) assert.deepEqual(results, [STORED, STORED]);
  for (const account of [ANN, BEN]) assert.equal((await readAll(pop3s(second), account)).length, 60);
  assert.equal(first.blobs.keys().length, 3 * 2, 'blobs that lost the race are deleted');
});

test('connections that are cut under load lose nothing, and a retry through the other process brings no copy', async () => {
  const [first, second] = await start();
  const cut = () =>
    sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`
      .execute(first.database.db)
      .catch(() => {});
  let [next, retries] = [0, 0];
  const results: (number | undefined)[] = [];
  const deliver = async () => {
    while (next < 400) {
      const number = next++;
      if (number % 40 === 20) void cut();
      for (let attempt = number; results[number] !== STORED; attempt++) {
        [results[number]] = await (attempt % 2 ? first : second).deliver({ queueId: `q${number}`, recipients: to(ANN) });
        if (results[number] === UNAVAILABLE) retries += 1;
      }
    }
  };
  await Promise.all(numbers(10).map(deliver));
  assert.ok(retries > 0, 'something was cut');
  const { db } = first.database;
  const rows = await db.selectFrom('messages').select(['uid', 'body']).orderBy('uid').execute();
  assert.deepEqual(
    rows.map(({ uid }) => uid),
    numbers(400).map((number) => number + 1),
  );
  assert.equal(new Set(rows.map(({ body }) => body)).size, 400);
});

test('UIDs of an account are dense and in order, whoever stores', async () => {
  const [first, second] = await start();
  // Half of them in opposite orders, so that locks that are taken in the order of arrival would meet.
  const results = await Promise.all(
    numbers(400).map((number) => {
      const recipients = number % 2 ? to(ANN, BEN) : to(BEN, ANN);
      return (number % 2 ? first : second).deliver({ queueId: `q${number}`, recipients });
    }),
  );
  for (const result of results) assert.deepEqual(result, [STORED, STORED]);
  const { db } = first.database;
  const rows = await db.selectFrom('messages').select(['mailbox_id', 'uid']).orderBy('mailbox_id').orderBy('uid').execute();
  rows.forEach(({ uid }, index) => void assert.equal(uid, (index % 400) + 1));
  assert.equal(rows.length, 800);
  for (const { message_count } of await db.selectFrom('accounts').select('message_count').execute()) assert.equal(message_count, 400);
});

test('a quota holds against both', async () => {
  const [first, second] = await start();
  first.directory.accounts.set(ANN, { quotaOctets: 1000, disabled: false });
  const results = await Promise.all(
    numbers(40).map((number) => (number % 2 ? first : second).deliver({ queueId: `q${number}`, recipients: to(ANN) })),
  );
  const kept = await readAll(pop3s(first), ANN);
  const octets = kept.reduce((sum, { length }) => sum + length, 0);
  assert.ok(octets <= 1000 && octets + (kept[0]?.length ?? 0) > 1000, `${octets}`);
  assert.equal(results.flat().filter((result) => result === STORED).length, kept.length);
  assert.equal(results.flat().filter((result) => result === OVER_QUOTA).length, 40 - kept.length);
});

test('another message under the same queue id is not taken for the first, also at the same time', async () => {
  const [first, second] = await start();
  for (const number of numbers(20)) {
    const [one, other] = await Promise.all([
      first.deliver({ queueId: `q${number}`, recipients: to(ANN) }),
      second.deliver({ queueId: `q${number}`, content: message('Subject: other\n\nx\n'), recipients: to(BEN) }),
    ]);
    assert.deepEqual([one[0], other[0]].sort(), [STORED, UNAVAILABLE].sort());
  }
});

test('a maildrop is one session’s until that ends, and one that loses its lock is ended', async () => {
  const [first, second] = await start();
  const client = await logIn(pop3s(first), ANN);
  const other = await connectPop3(pop3s(second), { tls: {} });
  await other.line();
  const again = async () => {
    await other.ask(`USER ${ANN}`);
    return other.ask('PASS right');
  };
  assert.match(await again(), /^-ERR \[IN-USE\]/);
  assert.equal(await client.ask('QUIT'), '+OK bye');
  assert.match(await again(), /^\+OK/);
  await sql`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'
    and database = (select oid from pg_database where datname = current_database())`.execute(first.database.db);
  await assert.rejects(async () => {
    for (;;) await other.line();
  });
  const last = await logIn(pop3s(first), ANN);
  for (const each of [client, other, last]) each.destroy();
});

test('both sweep and deliver at once: what a message names stays', async () => {
  const [first, second] = await start();
  for (const number of numbers(300)) await first.deliver({ queueId: `q${number}`, recipients: to(ANN) });
  const client = await logIn(pop3s(first), ANN);
  for (const number of numbers(300)) await client.ask(`DELE ${number + 1}`);
  assert.equal(await client.ask('QUIT'), '+OK bye');
  client.destroy();
  const swept = async () => {
    const texts = await Promise.all([first, second].map(async ({ metrics }) => (await metrics.scrape()).text));
    return texts.map((text) => Number(/sweeps_total\{result="done"\} (\d+)/.exec(text)?.[1] ?? 0));
  };
  const before = await swept();
  // Both clocks are one: their sweeps begin in the same turn.
  first.clock.move(2 * DAY_MS);
  const results = await Promise.all(
    numbers(300).map((number) => (number % 2 ? first : second).deliver({ queueId: `q${number}`, recipients: to(ANN, BEN) })),
  );
  for (const result of results) assert.deepEqual(result, [STORED, STORED]);
  while ((await swept()).some((count, at) => count <= (before[at] ?? 0))) await new Promise(setImmediate);
  assert.equal((await readAll(pop3s(second), BEN)).length, 300);
  assert.deepEqual(await readAll(pop3s(second), ANN), []);
  for (const box of boxes) assert.doesNotMatch((await box.metrics.scrape()).text, /sweeps_total\{result="failed"\} [1-9]/);
});
