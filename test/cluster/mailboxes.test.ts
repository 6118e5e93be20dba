import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeFolder, startAngarium, until } from '../e2e/angarium.ts';
import { startLoad } from '../e2e/load.ts';
import { startBrokers } from '../kafka/brokers.ts';
import { brokersFolder, hasBrokers, isExisting } from '../kafka/fixtures.ts';
import { createTestDatabase } from '../postgres/database.ts';
import { startPostgres } from '../postgres/server.ts';
import { startCluster } from './cluster.ts';
import { readMailbox } from './mailbox.ts';

/* Two mailbox and two routing processes over one PostgreSQL server and one folder of large messages. */

const LOGIN = 'ann@angarium.test';
const PASSWORD = 'a password';

if (!isExisting && hasBrokers('mailboxes that are shared')) {
  const { folder, remove } = await makeFolder();
  const [server, brokers] = await Promise.all([startPostgres(), startBrokers({ count: 1, folder: await brokersFolder() })]);
  const config = {
    postgres: await createTestDatabase(server.url),
    routing: { directoryEngine: 'postgres' },
    mailbox: { storeEngine: 'postgres', blobFolder: join(folder, 'mail') },
  };
  const cluster = await startCluster({
    ...{ folder, brokers: brokers.addresses, config },
    counts: { routing: 2, mailbox: 2, ingress: 1, delivery: 2 },
    directoryOf: { ingress: 'routing-2', delivery: 'routing-2', mailbox: 'routing-1' },
    mailboxOf: { 'delivery-1': 'mailbox-1', 'delivery-2': 'mailbox-2' },
  });
  after(async () => {
    await cluster.close();
    await Promise.all([brokers.close(), server.close()]);
    await remove();
  });
  const stored = (name: string) => cluster.one(name).lines.filter(({ event }) => event === 'mailbox.message.stored').length;
  const read = (name: string) => readMailbox({ address: cluster.one(name).addresses.pop3s[0] ?? '', login: LOGIN, password: PASSWORD });

  test('both store mail of one account, one is killed under load, and each message is there once', { timeout: 180_000 }, async () => {
    const command = async (args: readonly string[], stdin = '') => {
      const { code, stderr } = await cluster.one('routing-1').command(args, stdin);
      assert.equal(code, 0, stderr);
    };
    await command(['domain', 'add', 'angarium.test']);
    await command(['account', 'add', LOGIN], `${PASSWORD}\n`);
    const address = cluster.one('ingress-1').addresses.mx[0] ?? '';
    const load = startLoad({ address, sessions: 4, recipient: () => LOGIN, name: 'both', perSecond: 100 });
    // Large ones are in the folder.
    const large = startLoad({ address, sessions: 1, recipient: () => LOGIN, name: 'large', perSecond: 5, octets: 100_000 });
    const bothStored = () => until(async () => (['mailbox-1', 'mailbox-2'].every((name) => stored(name) > 100) ? true : undefined), 60_000);
    await bothStored();
    await cluster.kill('mailbox-2');
    const before = load.taken.size;
    await until(async () => (load.taken.size > before + 200 ? true : undefined), 30_000);
    await cluster.start('mailbox-2');
    await bothStored();
    await Promise.all([load.stop(), large.stop()]);
    const taken = [...load.taken, ...large.taken];
    const expected = new Map([...taken].sort().map((id) => [id, 1]));
    await until(async () => ((await read('mailbox-1')).size >= taken.length ? true : undefined), 60_000);
    for (const name of ['mailbox-1', 'mailbox-2']) {
      const found = new Map([...(await read(name))].filter(([id]) => expected.has(id)).sort(([a], [b]) => (a < b ? -1 : 1)));
      assert.deepEqual(found, expected, `as ${name} reads it`);
    }
  });

  test('a mailbox process whose server is away is not ready, says why, and is ready again when it is back', {
    timeout: 60_000,
  }, async () => {
    const { addresses } = cluster.one('mailbox-1');
    const readiness = async () => {
      const answer = await fetch(`http://${addresses.metrics}/readyz`);
      return { isReady: answer.ok, text: await answer.text() };
    };
    assert.ok((await readiness()).isReady);
    await server.end('SIGQUIT');
    const told = await until(async () => ((found) => (found.isReady ? undefined : found))(await readiness()), 20_000);
    assert.match(told.text, /PostgreSQL does not answer/);
    await server.start();
    await until(async () => ((await readiness()).isReady ? true : undefined), 20_000);
  });

  test('an older file of mailboxes is not left behind unseen', async () => {
    const { folder: other, remove: removeOther } = await makeFolder();
    const one = await startAngarium(other);
    await one.stop();
    await assert.rejects(
      startAngarium(other, { ...config, mailbox: { ...config.mailbox, pop3: { listen: [] }, pop3s: { listen: [] } } }),
      /holds mailboxes/,
    );
    await removeOther();
  });
}
