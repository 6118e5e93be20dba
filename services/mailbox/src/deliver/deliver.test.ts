import assert from 'node:assert/strict';
import { afterEach, test as nodeTest } from 'node:test';
import { DeliverResult, Refused, Unavailable } from '@angarium/rpc';
import { sql } from 'kysely';
import { skipUids } from '../store/schema.ts';
import {
  ENGINES,
  type Engine,
  HELLO,
  message,
  startTestMailbox,
  type TestMailbox,
  type TestMailboxOptions,
  to,
} from '../testing/fixture.ts';
import { readAll } from '../testing/pop3-client.ts';

const { STORED, OVER_QUOTA, UNAVAILABLE, STORE_FULL, NO_SUCH_ACCOUNT, TOO_BIG } = DeliverResult;
const ANN = 'ann@example.org';
const BEN = 'ben@example.org';
const BIG = Buffer.concat([message('Subject: big\n\n'), Buffer.alloc(1_200_000, 'x'), message('\n')]);

let engine: Engine;
let open: TestMailbox[] = [];
async function start(options: TestMailboxOptions = {}): Promise<TestMailbox> {
  const box = await startTestMailbox({ accounts: [ANN, BEN], engine, ...options });
  open.push(box);
  return box;
}
afterEach(async () => {
  for (const box of open) await box.close();
  open = [];
});

function test(name: string, body: () => Promise<void>, engines: readonly Engine[] = ENGINES): void {
  for (const each of engines) {
    nodeTest(`${each}: ${name}`, () => {
      engine = each;
      return body();
    });
  }
}
const sqliteTest = (name: string, body: () => Promise<void>) => test(name, body, ['sqlite']);

const read = (box: TestMailbox, account: string) => readAll(box.service.addresses.pop3s[0] ?? '', account);
const count = async (box: TestMailbox, table: 'messages' | 'bodies' | 'ledger') =>
  Number(
    (
      await box.database.db
        .selectFrom(table)
        .select(({ fn }) => fn.countAll().as('count'))
        .executeTakeFirstOrThrow()
    ).count,
  );

/** The database refuses rows of messages that are so. */
async function refuseMessages({ database: { db } }: TestMailbox, when: string): Promise<void> {
  if (engine === 'sqlite') {
    await sql`create trigger refused before insert on messages when ${sql.raw(when)} begin select raise(abort, 'refused'); end`.execute(db);
    return;
  }
  await sql`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$`.execute(db);
  await sql`create trigger refused before insert on messages for each row when (${sql.raw(when)}) execute function refuse()`.execute(db);
}

test('a message is stored with Return-Path and Delivered-To in front, and its own Return-Path is gone', async () => {
  const box = await start();
  const content = message('Return-Path: <forged@example.net>\nSubject: a\n\nbody\n');
  assert.deepEqual(
    await box.deliver({ queueId: 'q1', content, recipients: [{ account: ANN, address: 'ann+tag@example.org', quotaOctets: 0 }] }),
    [STORED],
  );
  assert.deepEqual(await read(box, ANN), [
    'Return-Path: <sender@example.org>\r\nDelivered-To: ann+tag@example.org\r\nSubject: a\r\n\r\nbody\r\n',
  ]);
});

test('the null reverse-path is written as <>', async () => {
  const box = await start();
  await box.deliver({ queueId: 'q1', reversePath: '', recipients: to(ANN) });
  assert.match((await read(box, ANN))[0] ?? '', /^Return-Path: <>\r\n/);
});

for (const [size, content] of [
  ['small', HELLO],
  ['big', BIG],
] as const) {
  test(`a ${size} message for many is stored once`, async () => {
    const box = await start();
    assert.deepEqual(await box.deliver({ queueId: 'q1', content, recipients: to(ANN, BEN) }), [STORED, STORED]);
    assert.deepEqual([await count(box, 'messages'), await count(box, 'bodies')], [2, 1]);
    assert.equal(box.blobs.keys().length, size === 'small' ? 0 : 2);
    for (const account of [ANN, BEN]) assert.ok((await read(box, account))[0]?.endsWith(content.toString()));
  });

  test(`a ${size} message that is delivered again, also at the same time, is stored once`, async () => {
    const box = await start();
    const deliver = () => box.deliver({ queueId: 'q1', content, recipients: to(ANN) });
    for (const results of await Promise.all(Array.from({ length: 20 }, deliver))) assert.deepEqual(results, [STORED]);
    assert.deepEqual(await deliver(), [STORED]);
    assert.equal((await read(box, ANN)).length, 1);
    assert.equal(box.blobs.keys().length, size === 'small' ? 0 : 2, 'blobs that lost the race are deleted');
  });

  test(`a ${size} message that its reader deleted does not come back by a retry, nor after a restart`, async () => {
    const box = await start();
    await box.deliver({ queueId: 'q1', content, recipients: to(ANN) });
    await box.database.db.deleteFrom('messages').execute();
    assert.deepEqual(await box.deliver({ queueId: 'q1', content, recipients: to(ANN) }), [STORED]);
    const again = await box.restart();
    open = [again];
    assert.deepEqual(await again.deliver({ queueId: 'q1', content, recipients: to(ANN) }), [STORED]);
    assert.deepEqual(await read(again, ANN), []);
  });
}

test('a retry for more recipients stores for the new ones alone', async () => {
  const box = await start();
  await box.deliver({ queueId: 'q1', recipients: to(ANN) });
  assert.deepEqual(await box.deliver({ queueId: 'q1', recipients: to(ANN, BEN) }), [STORED, STORED]);
  assert.deepEqual([(await read(box, ANN)).length, (await read(box, BEN)).length], [1, 1]);
});

test('two addresses of one account get a copy each', async () => {
  const box = await start();
  const recipients = ['a@example.org', 'b@example.org'].map((address) => ({ account: ANN, address, quotaOctets: 0 }));
  await box.deliver({ queueId: 'q1', recipients });
  assert.equal((await read(box, ANN)).length, 2);
});

test('a crash between blob and row loses nothing: the retry brings the message', async () => {
  const box = await start();
  await refuseMessages(box, 'true');
  assert.deepEqual(await box.deliver({ queueId: 'q1', content: BIG, recipients: to(ANN) }), [UNAVAILABLE]);
  assert.deepEqual([await count(box, 'ledger'), await count(box, 'bodies'), box.blobs.keys().length], [0, 0, 2]);
  const again = await box.restart();
  open = [again];
  await sql.raw(engine === 'sqlite' ? 'drop trigger refused' : 'drop trigger refused on messages').execute(again.database.db);
  assert.deepEqual(await again.deliver({ queueId: 'q1', content: BIG, recipients: to(ANN) }), [STORED]);
  assert.ok((await read(again, ANN))[0]?.endsWith(BIG.toString()));
});

test('one delivery that the database refuses does not stop those that share its commit', async () => {
  const box = await start();
  await refuseMessages(box, "new.body = 'q7'");
  const results = await Promise.all(Array.from({ length: 20 }, (_, index) => box.deliver({ queueId: `q${index}`, recipients: to(ANN) })));
  assert.deepEqual(
    results.map(([result]) => result),
    results.map((_, index) => (index === 7 ? UNAVAILABLE : STORED)),
  );
  assert.equal((await read(box, ANN)).length, 19);
});

test('UIDs grow with each message and are in the order of commits', async () => {
  const box = await start();
  await Promise.all(Array.from({ length: 300 }, (_, index) => box.deliver({ queueId: `q${index}`, recipients: to(ANN, BEN) })));
  const rows = await box.database.db
    .selectFrom('messages')
    .select(['mailbox_id', 'uid', 'modseq'])
    .orderBy('mailbox_id')
    .orderBy('uid')
    .execute();
  assert.equal(rows.length, 600);
  rows.forEach(({ uid, modseq }, index) => {
    assert.equal(uid, (index % 300) + 1);
    assert.equal(modseq, uid + 1);
  });
  const mailboxes = await box.database.db.selectFrom('mailboxes').select(['uidnext', 'highestmodseq']).execute();
  assert.deepEqual(mailboxes, [
    { uidnext: 301, highestmodseq: 301 },
    { uidnext: 301, highestmodseq: 301 },
  ]);
});

test('a message that would pass the quota is refused for that account, and is taken when there is room again', async () => {
  const box = await start();
  const octets = (await box.deliver({ queueId: 'q0', recipients: to(ANN) })) && (await read(box, ANN))[0]?.length;
  box.directory.accounts.set(ANN, { quotaOctets: 2 * Number(octets), disabled: false });
  box.clock.move(10_000);
  assert.deepEqual(await box.deliver({ queueId: 'q1', recipients: to(ANN) }), [STORED]);
  assert.deepEqual(await box.deliver({ queueId: 'q2', recipients: to(BEN, ANN) }), [STORED, OVER_QUOTA]);
  assert.deepEqual(await box.deliver({ queueId: 'q2', recipients: to(BEN, ANN) }), [STORED, OVER_QUOTA]);
  box.directory.accounts.set(ANN, { quotaOctets: 3 * Number(octets), disabled: false });
  box.clock.move(10_000);
  assert.deepEqual(await box.deliver({ queueId: 'q2', recipients: to(BEN, ANN) }), [STORED, STORED]);
  assert.deepEqual([(await read(box, ANN)).length, (await read(box, BEN)).length], [3, 1]);
});

test('two at once that fit the quota only one by one: one is stored', async () => {
  const box = await start();
  box.directory.accounts.set(ANN, { quotaOctets: 150, disabled: false });
  const results = await Promise.all(['q1', 'q2'].map((queueId) => box.deliver({ queueId, recipients: to(ANN) })));
  assert.deepEqual(results, [[STORED], [OVER_QUOTA]]);
});

test('usage of an account is the sum of its messages, whatever was stored and deleted', async () => {
  const box = await start();
  for (let index = 0; index < 10; index++) await box.deliver({ queueId: `q${index}`, recipients: to(ANN) });
  const { usage_octets, message_count } = await box.database.db.selectFrom('accounts').selectAll().executeTakeFirstOrThrow();
  const { octets } = await box.database.db
    .selectFrom('messages')
    .select(({ fn }) => fn.sum<number>('octets').as('octets'))
    .executeTakeFirstOrThrow();
  assert.deepEqual({ usage_octets, message_count }, { usage_octets: octets, message_count: 10 });
});

test('accounts that are gone or disabled are told so; a directory that is down defers', async () => {
  const box = await start();
  box.directory.accounts.set(BEN, { quotaOctets: 0, disabled: true });
  assert.deepEqual(await box.deliver({ queueId: 'q1', recipients: to(ANN, BEN, 'nobody@example.org') }), [
    STORED,
    NO_SUCH_ACCOUNT,
    NO_SUCH_ACCOUNT,
  ]);
  box.directory.isDown = true;
  box.clock.move(10_000);
  assert.deepEqual(await box.deliver({ queueId: 'q2', recipients: to(ANN) }), [UNAVAILABLE]);
});

test('a message over the limit is too big, one of exactly the limit is not', async () => {
  const box = await start({ config: { maxMessageOctets: HELLO.length } });
  assert.deepEqual(await box.deliver({ queueId: 'q1', recipients: to(ANN) }), [STORED]);
  assert.deepEqual(await box.deliver({ queueId: 'q2', content: Buffer.concat([HELLO, message('\n')]), recipients: to(ANN) }), [TOO_BIG]);
});

test('a full blob store is store full, a broken one defers; both keep nothing', async () => {
  const box = await start();
  box.blobs.fail('full');
  assert.deepEqual(await box.deliver({ queueId: 'q1', content: BIG, recipients: to(ANN) }), [STORE_FULL]);
  box.blobs.fail('error');
  assert.deepEqual(await box.deliver({ queueId: 'q1', content: BIG, recipients: to(ANN) }), [UNAVAILABLE]);
  assert.deepEqual(await box.deliver({ queueId: 'q1', content: BIG, recipients: to(ANN) }), [STORED]);
  assert.equal((await read(box, ANN)).length, 1);
});

sqliteTest('a full database is store full, and takes mail when there is room again', async () => {
  const box = await start();
  await box.deliver({ queueId: 'q0', recipients: to(ANN) });
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(box.database.db);
  await sql`pragma max_page_count = ${sql.lit(rows[0]?.page_count ?? 0)}`.execute(box.database.db);
  const content = Buffer.concat([message('Subject: x\n\n'), Buffer.alloc(20_000, 'y')]);
  assert.deepEqual(await box.deliver({ queueId: 'q1', content, recipients: to(ANN) }), [STORE_FULL]);
  await sql`pragma max_page_count = 1000000`.execute(box.database.db);
  assert.deepEqual(await box.deliver({ queueId: 'q1', content, recipients: to(ANN) }), [STORED]);
  assert.equal((await read(box, ANN)).length, 2);
});

test('another message under the same queue id is not taken for the first', async () => {
  const box = await start();
  await box.deliver({ queueId: 'q1', recipients: to(ANN) });
  assert.deepEqual(await box.deliver({ queueId: 'q1', content: message('Subject: other\n\nx\n'), recipients: to(BEN) }), [UNAVAILABLE]);
});

test('more than maxUnstoredOctets at once is deferred, and room is given back', async () => {
  const box = await start({ config: { maxUnstoredOctets: 2000 } });
  const deliver = (queueId: string) => box.deliver({ queueId, recipients: to(ANN) });
  const results = (await Promise.all(Array.from({ length: 10 }, (_, index) => deliver(`q${index}`)))).flat();
  assert.equal(results.filter((result) => result === STORED).length, 4);
  assert.equal(results.filter((result) => result === UNAVAILABLE).length, 6);
  assert.deepEqual(await deliver('q9'), [STORED]);
});

test('a queue id that could not name a blob is refused', async () => {
  const box = await start();
  for (const queueId of ['', '../x', 'a b', 'x'.repeat(65)]) await assert.rejects(box.deliver({ queueId, recipients: to(ANN) }), Refused);
});

test('a stop waits for running deliveries and refuses new ones', async () => {
  const box = await start();
  const running = Array.from({ length: 50 }, (_, index) =>
    box.deliver({ queueId: `q${index}`, content: index % 10 ? HELLO : BIG, recipients: to(ANN) }),
  );
  const stopped = box.service.stop();
  await assert.rejects(box.deliver({ queueId: 'late', recipients: to(ANN) }), Unavailable);
  await stopped;
  assert.equal(await count(box, 'messages'), 50);
  assert.deepEqual(
    (await Promise.all(running)).flat(),
    running.map(() => STORED),
  );
  assert.ok(box.service.notReady().length > 0);
});

sqliteTest('a commit is synchronous: the write-ahead log is synced before it is answered', async () => {
  const box = await start();
  const { rows } = await sql<{ synchronous: number }>`pragma synchronous`.execute(box.database.db);
  assert.equal(rows[0]?.synchronous, 2);
});

test('results and totals are counted', async () => {
  const box = await start();
  const content = Buffer.from('Subject: x\r\n\r\n');
  await box.deliver({ queueId: 'q1', content, recipients: to(ANN, 'nobody@example.org') });
  const { text } = await box.metrics.scrape();
  assert.match(text, /^angarium_mailbox_stored_octets_total 14$/m);
  assert.match(text, /^angarium_mailbox_delivery_seconds_count 1$/m);
  assert.match(text, /angarium_mailbox_deliveries_total\{result="stored"\} 1/);
  assert.match(text, /angarium_mailbox_deliveries_total\{result="no_such_account"\} 1/);
});

test('a restored store gives no UID again that may have been given out after the backup', async () => {
  const box = await start();
  await box.deliver({ queueId: 'q1', recipients: to(ANN) });
  await skipUids(box.database);
  await box.deliver({ queueId: 'q2', recipients: to(ANN) });
  const uids = (await box.database.db.selectFrom('messages').select('uid').orderBy('uid').execute()).map(({ uid }) => uid);
  assert.equal(uids[0], 1);
  assert.ok(Number(uids[1]) > 1_000_000);
});
