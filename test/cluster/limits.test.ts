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
/** 2 s are promised, where the machine is not full of other tests. */
const IN_FORCE_MS = 5000;

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

  test('a limit that is set at one worker holds in all of them at once, and is as configured again when it is reset', {
    timeout: 120_000,
  }, async () => {
    const address = cluster.one('ingress-1').addresses.mx[0] ?? '';
    const recipient = (number: number) => `u@${DOMAINS[number % DOMAINS.length]}`;
    const load = startLoad({ address, sessions: 4, recipient, name: 'ordered', messages: MESSAGES });
    await load.done;
    const ordered = () => [...sink.copies.keys()].filter((id) => load.taken.has(id)).length;
    const arrivedNow = (count: number) => until(async () => (ordered() >= count ? true : undefined), 60_000);
    await arrivedNow(20);
    const tell = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await cluster.one('delivery-1').command(['limits', ...args]);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    await tell('set', 'sink', '--connections', '1', '--messages', '3', '--reason', 'they asked us to');
    const granted = async (what: string) => {
      const all = WORKERS.map((name) => cluster.one(name).metric(`angarium_delivery_quota_${what}`));
      return (await Promise.all(all)).reduce((sum, one) => sum + (one || 0), 0);
    };
    await until(
      async () => ((await granted('messages_granted')) <= 3 && (await granted('connections_open')) <= 1) || undefined,
      IN_FORCE_MS,
    );
    await until(async () => (sink.open() <= 1 ? true : undefined), IN_FORCE_MS);
    // What began just before may still be in the window of the sink.
    sink.forgetPeak();
    const before = ordered();
    await arrivedNow(before + 30);
    assert.deepEqual(sink.peak, { connections: 1, messages: 3 });
    assert.match(await tell(), /sink +1 +3 in 1000 ms +2 \/ 10 in 1000 ms .*they asked us to/);
    await tell('reset', 'sink');
    await arrivedNow(MESSAGES);
    assert.ok(sink.peak.messages > 3 && sink.peak.messages <= 10, `${sink.peak.messages}`);
    assert.ok(sink.peak.connections <= 2);
  });
}
