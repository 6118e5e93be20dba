import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Angarium, accounting, makeFolder, merge, type Role, startAngarium, type Tree, until } from '../e2e/angarium.ts';
import { startLoad } from '../e2e/load.ts';
import { openSession } from '../e2e/session.ts';
import { startSmtpHost } from '../fixtures/smtp-host.ts';
import { createCommand } from './command.ts';
import { hasBrokers, useBrokers } from './fixtures.ts';

/* Each service a process of its own over real Kafka, wired by gRPC. */

if (hasBrokers('the roles over Kafka')) {
  const brokers = useBrokers({ count: 1, mayBeShared: true });
  const { folder, remove } = await makeFolder();
  /** By name: a role, or a second process of one. */
  const running = new Map<string, Angarium>();
  after(async () => {
    await Promise.all([...running.values()].map((one) => one.kill()));
    await remove();
  });

  const at = (name: string) => `unix:${join(folder, `${name}.sock`)}`;
  const config = (role: Role) => ({
    blobFolder: join(folder, 'blobs'),
    kafka: { brokers: brokers().addresses, prefix: 'roles-', replicationFactor: 1, minInSyncReplicas: 1 },
    directoryListen: role === 'routing' ? at('directory') : '',
    directoryAt: at('directory'),
    mailboxAt: at('mailbox'),
    mailbox: { rpcListen: at('mailbox'), directory: at('directory') },
  });
  const start = async (role: Role, name: string = role, more: Tree = {}): Promise<Angarium> => {
    await mkdir(join(folder, name), { recursive: true });
    const started = await startAngarium(join(folder, name), merge(config(role), more), role);
    running.set(name, started);
    return started;
  };
  const one = (name: string): Angarium => running.get(name) as Angarium;

  test('a role without topics says how to make them, or waits for them as long as it was told; with them all roles start', async () => {
    await assert.rejects(start('routing'), /angarium topics create/);
    const waiting = start('routing', 'routing', { kafka: { startTimeoutMs: '60s' } });
    const command = await createCommand(join(folder, 'topics'), config('routing'));
    assert.match((await command(['topics', 'create'])).stdout, /made mail\.in, /);
    assert.equal((await command(['topics', 'check'])).code, 0);
    await waiting;
    await one('routing').command(['domain', 'add', 'angarium.test']);
    await one('routing').command(['account', 'add', 'me@angarium.test'], 'a password\n');
    for (const role of ['mailbox', 'ingress', 'delivery'] as const) await start(role);
  });

  test('mail goes from process to process into a mailbox, a large body by the blob store', async () => {
    const session = openSession(one('ingress').addresses.mx[0] ?? '');
    await session.reply();
    await session.ask('EHLO client.test');
    await session.ask('MAIL FROM:<a@client.test>');
    assert.equal((await session.ask('RCPT TO:<nobody@angarium.test>')).code, 550);
    await session.ask('RCPT TO:<me@angarium.test>');
    await session.ask('DATA');
    const { lines } = await session.ask(`Subject: large\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(2000)}.`);
    const queueId = /[0-9A-Z]{26}/.exec(lines.join())?.[0];
    session.end();
    const stored = await one('mailbox').waitFor('mailbox.message.stored', (line) => line.queueId === queueId);
    assert.equal(stored.account, 'me@angarium.test');
  });

  test('appends to Kafka and calls between processes are measured on both sides', async () => {
    const calls = (name: string, side: string, method: string) =>
      one(name).metric(`angarium_rpc_${side}_call_seconds_count{method="${method}",status="ok"}`);
    assert.ok((await calls('ingress', 'client', 'Directory/Check')) > 0);
    assert.equal(await calls('routing', 'server', 'Directory/Check'), await calls('ingress', 'client', 'Directory/Check'));
    assert.equal(await calls('delivery', 'client', 'Mailbox/Deliver'), 1);
    assert.equal(await calls('mailbox', 'server', 'Mailbox/Deliver'), 1);
    assert.equal(await one('ingress').metric('angarium_log_entries_total'), 1);
    assert.equal(await one('ingress').metric('angarium_log_batch_entries_count'), 1);
    assert.equal(await one('ingress').metric('angarium_blob_call_seconds_count{call="put",outcome="ok"}'), 1);
    assert.equal(await one('delivery').metric('angarium_delivery_lanes_unowned'), 0);
  });

  test('each role killed under load and started again: every 250 is delivered, and the count holds', { timeout: 180_000 }, async () => {
    const before = await until(async () => ((await accounting(one('delivery'))).delivered === 1 ? 1 : undefined));
    const address = () => one('ingress').addresses.mx[0] ?? '';
    let taken = 0;
    for (const role of ['delivery', 'routing', 'mailbox', 'ingress'] as const) {
      const load = startLoad({ address: address(), sessions: 4, recipient: () => 'me@angarium.test', name: role });
      await until(async () => (load.taken.size > 50 ? true : undefined));
      await one(role).kill();
      if (role === 'ingress') await load.stop();
      await start(role);
      if (role !== 'ingress') {
        const sizeThen = load.taken.size;
        await until(async () => (load.taken.size > sizeThen + 50 ? true : undefined), 30_000);
        await load.stop();
      }
      taken += load.taken.size;
    }
    const count = await until(async () => {
      const now = await accounting(one('delivery'));
      return now.queued === 0 && now.delivered >= before + taken && now.difference === 0 ? now : undefined;
    }, 60_000);
    // What a killed ingress had sent to the log and not answered is delivered too.
    assert.ok(count.delivered <= before + taken + 4, `${count.delivered} of ${taken}`);
    assert.deepEqual([count.bounced, count.expired, count.discarded], [0, 0, 0]);
  });

  test('a second delivery worker takes its share of the lanes; when the first is killed it has them all, and nothing is missing', {
    timeout: 240_000,
  }, async () => {
    const lanesOf = (name: string) => one(name).metric('angarium_delivery_lanes_live');
    await start('delivery', 'delivery-2');
    await until(async () => ((await lanesOf('delivery')) === 2 && (await lanesOf('delivery-2')) === 2 ? true : undefined), 30_000);
    const storedBefore = new Set(
      one('mailbox')
        .lines.filter(({ event }) => event === 'mailbox.message.stored')
        .map((line) => line.queueId),
    );
    const address = one('ingress').addresses.mx[0] ?? '';
    // It is the lanes' second death within a minute: they go on with one message at a time until a minute has passed.
    const load = startLoad({ address, sessions: 4, recipient: () => 'me@angarium.test', name: 'share', messages: 4000 });
    await until(async () => (load.taken.size > 100 ? true : undefined));
    await one('delivery').kill();
    running.delete('delivery');
    await until(async () => ((await lanesOf('delivery-2')) === 4 ? true : undefined), 30_000);
    assert.equal(await one('delivery-2').metric('angarium_delivery_lane_takeovers_total{owner="silent"}'), 2);
    assert.equal(await one('delivery-2').metric('angarium_delivery_lanes_unowned'), 0);
    await load.stop();
    await until(async () => {
      const stored = one('mailbox').lines.filter(({ event, queueId }) => event === 'mailbox.message.stored' && !storedBefore.has(queueId));
      return new Set(stored.map(({ queueId }) => queueId)).size >= load.taken.size ? true : undefined;
    }, 120_000);
    await until(async () => {
      const { queued, difference } = await accounting(one('delivery-2'));
      return queued === 0 && difference === 0 ? true : undefined;
    }, 60_000);
  });

  test('a worker that is stopped waits for a reply within the grace, beyond the length of a stop: the message is sent once', {
    timeout: 120_000,
  }, async (t) => {
    const slow = await startSmtpHost({ dotMs: 8000 });
    t.after(() => slow.close());
    await one('routing').command(['transport', 'add', 'slow.test', 'smarthost', `127.0.0.1:${slow.port}`, '--tls', 'never']);
    await one('routing').command(['alias', 'add', 'slow@angarium.test', 'one@slow.test']);
    await one('delivery-2').stop();
    running.delete('delivery-2');
    await start('delivery', 'delivery-3', { stopMs: '3s' });
    await until(async () => ((await one('delivery-3').metric('angarium_delivery_lanes_live')) === 4 ? true : undefined), 30_000);
    const load = startLoad({
      ...{ address: one('ingress').addresses.mx[0] ?? '', sessions: 1, recipient: () => 'slow@angarium.test', name: 'slow', messages: 1 },
    });
    await until(async () => (slow.messages.length === 1 ? true : undefined), 30_000);
    await start('delivery', 'delivery-4');
    assert.equal(await one('delivery-3').stop(), 0);
    running.delete('delivery-3');
    await load.stop();
    await until(async () => {
      const { queued, difference } = await accounting(one('delivery-4'));
      return queued === 0 && difference === 0 ? true : undefined;
    }, 60_000);
    assert.equal(slow.messages.length, 1);
  });

  test('SIGTERM ends each role with 0', async () => {
    for (const [name, angarium] of running) assert.equal(await angarium.stop(), 0, name);
    running.clear();
  });
}
