import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { makeFolder, until } from '../e2e/angarium.ts';
import { startLoad } from '../e2e/load.ts';
import { openSession } from '../e2e/session.ts';
import { startBrokers } from '../kafka/brokers.ts';
import { brokersFolder, hasBrokers, isExisting } from '../kafka/fixtures.ts';
import { createTestDatabase } from '../postgres/database.ts';
import { startPostgres } from '../postgres/server.ts';
import { startCluster } from './cluster.ts';

/* Two routing processes with one directory, on a PostgreSQL server that goes away. */

if (!isExisting && hasBrokers('a directory that is shared')) {
  const { folder, remove } = await makeFolder();
  const [server, brokers] = await Promise.all([startPostgres(), startBrokers({ count: 1, folder: await brokersFolder() })]);
  const postgres = await createTestDatabase(server.url);
  const config = { postgres, routing: { directoryEngine: 'postgres' }, ingress: { recipientCacheMs: 1 } };
  const cluster = await startCluster({
    ...{ folder, brokers: brokers.addresses, config },
    counts: { routing: 2, mailbox: 1, ingress: 1, delivery: 1 },
    directoryOf: { ingress: 'routing-2', delivery: 'routing-2', mailbox: 'routing-1' },
  });
  after(async () => {
    await cluster.close();
    await Promise.all([brokers.close(), server.close()]);
    await remove();
  });
  const door = () => cluster.one('ingress-1').addresses.mx[0] ?? '';
  const rcpt = async (to: string) => {
    const session = openSession(door());
    await session.reply();
    await session.ask('EHLO client.test');
    await session.ask('MAIL FROM:<a@client.test>');
    const { code } = await session.ask(`RCPT TO:<${to}>`);
    session.end();
    return code;
  };
  const add = (name: string) => cluster.one('routing-1').command(['account', 'add', `${name}@angarium.test`], 'a password\n');
  const takes = (name: string) => until(async () => ((await rcpt(`${name}@angarium.test`)) === 250 ? true : undefined), 30_000);

  test('what is told to one process is known to the other', { timeout: 60_000 }, async () => {
    assert.equal((await cluster.one('routing-1').command(['domain', 'add', 'angarium.test'])).code, 0);
    assert.equal((await add('ann')).code, 0);
    await takes('ann');
    assert.match((await cluster.one('routing-2').command(['account', 'list'])).stdout, /ann@angarium\.test/);
  });

  test('while the server is away recipients get 451, what was accepted waits; then everything goes on', { timeout: 120_000 }, async () => {
    const load = startLoad({ address: door(), sessions: 2, recipient: () => 'ann@angarium.test', name: 'away', perSecond: 50 });
    await until(async () => (load.taken.size > 50 ? true : undefined), 30_000);
    await server.end('SIGQUIT');
    await until(async () => ((await rcpt('ann@angarium.test')) === 451 ? true : undefined), 30_000);
    assert.equal((await add('bob')).code, 1);
    await server.start();
    await takes('ann');
    const before = load.taken.size;
    await until(async () => (load.taken.size > before + 50 ? true : undefined), 30_000);
    await load.stop();
    assert.ok(
      [...load.refused.values()].every((code) => code === 451),
      [...new Set(load.refused.values())].join(),
    );
    await until(async () => {
      const stored = cluster.one('mailbox-1').lines.filter(({ event }) => event === 'mailbox.message.stored');
      return stored.length >= load.taken.size ? true : undefined;
    }, 60_000);
    assert.equal((await add('bob')).code, 0);
    await takes('bob');
  });
}
