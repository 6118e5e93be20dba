import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serveHealth } from './health.ts';
import { createMetrics } from './metrics.ts';

test('metrics, liveness and readiness are served, and the reasons why it is not ready', async () => {
  const metrics = createMetrics({ withProcess: false });
  metrics.counter({ name: 'angarium_test_things_total', help: 'Things.', labels: { kind: ['good', 'bad'] } }).inc({ kind: 'good' }, 2);
  let reasons: readonly string[] = ['routing: replaying', 'lane 3: halted'];
  const health = await serveHealth({ host: '127.0.0.1', port: 0, metrics, notReady: () => reasons });
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${health.port}${path}`);
    return [response.status, await response.text()] as const;
  };
  assert.deepEqual(await get('/livez'), [200, 'ok\n']);
  assert.deepEqual(await get('/readyz'), [503, 'routing: replaying\nlane 3: halted\n']);
  reasons = [];
  assert.deepEqual(await get('/readyz'), [200, 'ok\n']);
  assert.match((await get('/metrics'))[1], /angarium_test_things_total\{kind="good"\} 2/);
  assert.equal((await get('/anything'))[0], 404);
  await health.close();
});

test('a label value that was not listed is a bug, not a new series', () => {
  const counter = createMetrics({ withProcess: false }).counter({ name: 'angarium_test_a_total', help: 'A.', labels: { kind: ['good'] } });
  assert.throws(() => counter.inc({ kind: 'example.org' }), RangeError);
  assert.throws(() => counter.inc({ other: 'good' }), RangeError);
});

test('two parts that ask for one metric share it', async () => {
  const metrics = createMetrics({ withProcess: false });
  const definition = { name: 'angarium_test_b_total', help: 'B.' };
  metrics.counter(definition).inc();
  metrics.counter(definition).inc();
  assert.match((await metrics.scrape()).text, /angarium_test_b_total 2/);
});
