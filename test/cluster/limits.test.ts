import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { makeFolder, until } from '../e2e/angarium.ts';
import { startLoad } from '../e2e/load.ts';
import { startBrokers } from '../kafka/brokers.ts';
import { brokersFolder, hasBrokers, isExisting } from '../kafka/fixtures.ts';
import { startCluster } from './cluster.ts';
import { startLimitedSink } from './limited-sink.ts';

/* What a receiver allows all workers together, seen by the receiver. */

const DOMAINS = Array.from({ length: 24 }, (_, number) => `s${number}.test`);
const WORKERS = ['delivery-1', 'delivery-2', 'delivery-3', 'delivery-4'];
const MESSAGES = 240;

if (!isExisting && hasBrokers('limits of the whole cluster')) {
  const { folder, remove } = await makeFolder();
  const sink = await startLimitedSink(1000);
  const brokers = await startBrokers({ count: 1, folder: await brokersFolder() });
  const cluster = await startCluster({
    ...{ folder, brokers: brokers.addresses },
    counts: { routing: 1, mailbox: 1, ingress: 1, delivery: WORKERS.length },
    config: {
      delivery: { limits: [{ name: 'sink', hosts: ['127.0.0.1'], connections: 2, messages: 10 }], limitGrantMs: 8000 },
    },
  });
  after(async () => {
    await cluster.close();
    await Promise.all([brokers.close(), sink.close()]);
    await remove();
  });
  const openAt = async (name: string) => (await cluster.one(name).metric('angarium_delivery_quota_connections_open')) || 0;
  const holder = () =>
    until(async () => {
      for (const name of WORKERS) if (cluster.running.has(name) && (await openAt(name)) > 0) return name;
      return undefined;
    }, 30_000);
  const arrived = (count: number) => until(async () => (sink.copies.size >= count ? true : undefined), 60_000);

  test('2 connections and 10 messages a second of 4 workers are never exceeded, while one is killed and one leaves', {
    timeout: 150_000,
  }, async () => {
    for (const domain of DOMAINS)
      await cluster.one('routing-1').command(['transport', 'add', domain, 'smarthost', `127.0.0.1:${sink.port}`, '--tls', 'never']);
    const address = cluster.one('ingress-1').addresses.mx[0] ?? '';
    const recipient = (number: number) => `u@${DOMAINS[number % DOMAINS.length]}`;
    const load = startLoad({ address, sessions: 4, recipient, name: 'limits', messages: MESSAGES });
    await load.done;
    assert.equal(load.taken.size, MESSAGES);
    await arrived(40);
    const killed = await holder();
    await cluster.kill(killed);
    await arrived(80);
    await cluster.start(killed);
    await arrived(120);
    const leaving = WORKERS.find((name) => name !== killed) ?? '';
    assert.equal(await cluster.stop(leaving), 0);
    await arrived(160);
    await cluster.start(leaving);
    await arrived(MESSAGES);
    assert.deepEqual(
      [...load.taken].filter((id) => !sink.copies.has(id)),
      [],
    );
    // At a kill at most what was on the wire comes twice.
    const copies = [...sink.copies.values()].reduce((sum, count) => sum + count - 1, 0);
    assert.ok(copies <= 2, `${copies} copies`);
    assert.deepEqual(sink.peak, { connections: 2, messages: 10 });
  });
}
