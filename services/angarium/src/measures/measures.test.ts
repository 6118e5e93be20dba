import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BlobStore, createMemoryBlobs } from '@angarium/blob';
import { type AppendFate, openMemoryLog } from '@angarium/log';
import { type Queue, Refused, Unavailable } from '@angarium/rpc';
import { configSchema, createMetrics, systemClock } from '@angarium/runtime';
import { testTls } from '../../../../test/fixtures/tls.ts';
import { createBlobMeters } from './blobs.ts';
import { createLogMeters } from './log.ts';
import { exportProcess } from './process.ts';
import { measuredClient, measuredServices } from './rpc.ts';

function startMetrics() {
  const metrics = createMetrics({ withProcess: false });
  const value = async (series: string): Promise<number | undefined> => {
    const line = (await metrics.scrape()).text.split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length));
  };
  return { metrics, value };
}

test('appends that fail are counted by their reason, and those in doubt apart; the caller hears of it as before', async () => {
  const { metrics, value } = startMetrics();
  let fate: AppendFate = 'kept';
  const memory = openMemoryLog({ partitions: { 'mail.in': 1 }, nowMs: () => 0, fate: () => fate });
  const log = createLogMeters(metrics).counted(memory);
  assert.equal(await log.append('mail.in', 0, [Buffer.from('x')]), 0);
  fate = 'lost';
  await assert.rejects(log.append('mail.in', 0, [Buffer.from('x')]), { name: 'AppendFailed', inDoubt: false });
  fate = 'inDoubt';
  await assert.rejects(log.append('mail.in', 0, [Buffer.from('x')]), { name: 'AppendFailed', inDoubt: true });
  await log.close();
  await assert.rejects(log.append('mail.in', 0, [Buffer.from('x')]), { name: 'AppendFailed' });
  assert.equal(await value('angarium_log_appends_failed_total{reason="failed"}'), 2);
  assert.equal(await value('angarium_log_appends_failed_total{reason="closed"}'), 1);
  assert.equal(await value('angarium_log_in_doubt_total'), 1);
});

test('durable batches are counted with their records', async () => {
  const { metrics, value } = startMetrics();
  const { observe } = createLogMeters(metrics);
  observe({ entries: 3, octets: 100, appendMs: 4 });
  observe({ entries: 60, octets: 100, appendMs: 4 });
  assert.equal(await value('angarium_log_batch_entries_bucket{le="5"}'), 1);
  assert.equal(await value('angarium_log_batch_entries_sum'), 63);
  assert.equal(await value('angarium_log_append_seconds_count'), 2);
});

test('calls to the store of large contents are measured by outcome, whatever the engine', async () => {
  const { metrics, value } = startMetrics();
  const memory = createMemoryBlobs({ nowMs: () => 0 });
  const broken: BlobStore = { ...memory, put: (key, body) => memory.put(key, body), get: () => Promise.reject(new Error('no disk')) };
  const blobs = createBlobMeters(metrics).measured(broken);
  await blobs.put('a', Buffer.from('x'));
  await assert.rejects(blobs.get('a'), /no disk/);
  assert.equal(await value('angarium_blob_call_seconds_count{call="put",outcome="ok"}'), 1);
  assert.equal(await value('angarium_blob_call_seconds_count{call="get",outcome="failed"}'), 1);
  assert.equal(await value('angarium_blob_failures_total{call="get"}'), 1);
});

test('calls of services are measured by method and by how they ended, on both sides', async () => {
  const { metrics, value } = startMetrics();
  const errors: (Error | undefined)[] = [undefined, new Refused('invalid', 'no'), new Unavailable('down'), new TypeError('bug')];
  let error = errors[0];
  class Served {
    readonly #summary = { live: 1 };
    async summary() {
      if (error) throw error;
      return this.#summary;
    }
  }
  const queue = new Served() as unknown as Queue;
  const { queue: served } = measuredServices(metrics, { queue });
  const client = measuredClient<Queue & { close(): void }>(metrics, 'queue', { ...served, close: () => {} } as Queue & { close(): void });
  client.close();
  for (error of errors) await client.summary().catch((got: unknown) => assert.equal(got, error));
  for (const status of ['ok', 'refused', 'unavailable', 'failed'])
    for (const side of ['client', 'server'])
      assert.equal(
        await value(`angarium_rpc_${side}_call_seconds_count{method="Queue/Summary",status="${status}"}`),
        1,
        `${side} ${status}`,
      );
});

test('a process tells its release, when its certificate expires and what is free on its disk', async () => {
  const { metrics, value } = startMetrics();
  const pair = { cert: Buffer.from(testTls.cert), key: Buffer.from(testTls.key) };
  const config = configSchema.parse({
    dataFolder: import.meta.dirname,
    kafka: { tls: { certificateFile: '/nowhere/kafka.pem' } },
    rpcTls: { certificateFile: import.meta.filename, keyFile: 'key.pem', authorityFile: 'authority.pem' },
  });
  exportProcess({ config, clock: systemClock, metrics, tls: { current: () => pair, onChange: () => () => {} } });
  assert.match((await metrics.scrape()).text, /^angarium_build_info\{version="\d+\.\d+\.\d+",node="v\d+\.\d+\.\d+"\} 1$/m);
  assert.ok(((await value('angarium_tls_certificate_expiry_seconds{listener="smtp"}')) ?? 0) > 0);
  for (const unreadable of ['kafka', 'rpc'])
    assert.equal(await value(`angarium_tls_certificate_expiry_seconds{listener="${unreadable}"}`), undefined);
  let free: number | undefined;
  while (free === undefined) {
    await new Promise((resolve) => setImmediate(resolve));
    free = await value('angarium_disk_free_octets{folder="blobs"}');
  }
  const size = (await value('angarium_disk_size_octets{folder="blobs"}')) ?? 0;
  assert.ok(free > 0 && free <= size);
});

test('a certificate that has expired is told by seconds below 0', async () => {
  const { metrics, value } = startMetrics();
  const pair = { cert: Buffer.from(testTls.cert), key: Buffer.from(testTls.key) };
  const clock = { ...systemClock, nowMs: () => Date.now() + 500 * 365 * 86_400_000 };
  exportProcess({ config: configSchema.parse({}), clock, metrics, tls: { current: () => pair, onChange: () => () => {} } });
  assert.ok(((await value('angarium_tls_certificate_expiry_seconds{listener="smtp"}')) ?? 1) < 0);
});
