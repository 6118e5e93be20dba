import assert from 'node:assert/strict';
import { afterEach, test as nodeTest } from 'node:test';
import { DeliverResult } from '@angarium/rpc';
import { ENGINES, message, startTestMailbox, type TestMailbox, to } from './testing/fixture.ts';
import { logIn, readAll } from './testing/pop3-client.ts';

const ANN = 'ann@example.org';
const BEN = 'ben@example.org';
const BIG = Buffer.concat([message('Subject: big\n\n'), Buffer.alloc(1_500_000, 'x'), message('\n')]);
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

let box: TestMailbox;
afterEach(() => box.close());

function test(name: string, body: () => Promise<void>): void {
  for (const engine of ENGINES) {
    nodeTest(`${engine}: ${name}`, async () => {
      box = await startTestMailbox({ accounts: [ANN, BEN], engine });
      await body();
    });
  }
}

const address = () => box.service.addresses.pop3s[0] ?? '';
const rows = async (table: 'bodies' | 'ledger' | 'loose_bodies') => (await box.database.db.selectFrom(table).selectAll().execute()).length;

async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await new Promise(setImmediate);
}

const sweeps = async () => Number(/sweeps_total\{result="done"\} (\d+)/.exec((await box.metrics.scrape()).text)?.[1] ?? 0);

/** Moves the clock and waits for the next whole sweep, and for one more: the first one may look at an earlier time. */
async function sweep(afterMs: number): Promise<void> {
  for (const byMs of [afterMs - MINUTE_MS, MINUTE_MS]) {
    const before = await sweeps();
    box.clock.move(byMs);
    await until(async () => (await sweeps()) > before);
  }
}

async function deleteAll(account: string): Promise<void> {
  const client = await logIn(address(), account);
  await client.ask('DELE 1');
  assert.equal(await client.ask('QUIT'), '+OK bye');
  client.destroy();
}

test('a body goes a day after its last message, not before, and not while another mailbox has it', async () => {
  await box.deliver({ queueId: 'q1', content: BIG, recipients: to(ANN, BEN) });
  await deleteAll(ANN);
  await sweep(2 * DAY_MS);
  assert.equal(await rows('bodies'), 1);
  assert.equal((await readAll(address(), BEN)).length, 1);
  await deleteAll(BEN);
  await sweep(DAY_MS - 10 * MINUTE_MS);
  assert.equal(await rows('bodies'), 1);
  await sweep(20 * MINUTE_MS);
  assert.deepEqual([await rows('bodies'), await rows('loose_bodies'), box.blobs.keys().length], [0, 0, 0]);
});

test('a body that was swept is brought again for a recipient who comes late', async () => {
  await box.deliver({ queueId: 'q1', content: BIG, recipients: to(ANN) });
  await deleteAll(ANN);
  await sweep(2 * DAY_MS);
  assert.equal(await rows('bodies'), 0);
  assert.deepEqual(await box.deliver({ queueId: 'q1', content: BIG, recipients: to(ANN, BEN) }), [
    DeliverResult.STORED,
    DeliverResult.STORED,
  ]);
  assert.deepEqual(await readAll(address(), ANN), []);
  assert.equal((await readAll(address(), BEN)).length, 1);
});

test('blobs that a crash left are deleted after a day; named ones and those of others stay', async () => {
  await box.deliver({ queueId: 'q1', content: BIG, recipients: to(ANN) });
  const named = box.blobs.keys();
  await box.blobs.put('mail/q2.0123456789abcdef.0', BIG);
  await box.blobs.put('mail/of-somebody-else', BIG);
  await box.blobs.put('in/q2.0123456789abcdef.0', BIG);
  await sweep(DAY_MS - 10 * MINUTE_MS);
  assert.equal(box.blobs.keys().length, named.length + 3);
  await sweep(DAY_MS);
  assert.deepEqual(box.blobs.keys(), [...named, 'mail/of-somebody-else', 'in/q2.0123456789abcdef.0']);
});

test('a delivery is remembered for ledgerMs, and forgotten then', async () => {
  for (let index = 0; index < 300; index++) await box.deliver({ queueId: `q${index}`, recipients: to(ANN) });
  await sweep(12 * DAY_MS - 10 * MINUTE_MS);
  assert.equal(await rows('ledger'), 300);
  await sweep(20 * MINUTE_MS);
  assert.equal(await rows('ledger'), 0);
  assert.equal((await readAll(address(), ANN)).length, 300);
});

test('a sweep that fails is made again', async () => {
  await box.deliver({ queueId: 'q1', recipients: to(ANN) });
  await box.database.db.schema.alterTable('loose_bodies').renameTo('hidden').execute();
  box.clock.move(13 * DAY_MS);
  await until(async () => /sweeps_total\{result="failed"\} 1/.test((await box.metrics.scrape()).text));
  await box.database.db.schema.alterTable('hidden').renameTo('loose_bodies').execute();
  await sweep(2 * MINUTE_MS);
});
