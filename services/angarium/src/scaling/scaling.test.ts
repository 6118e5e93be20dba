import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type Clock, configSchema, createMetrics, silentLogger } from '@angarium/runtime';
import { generate } from 'selfsigned';
import { serveExternalMetrics } from './external-metrics.ts';
import { createScaler, WANTED } from './scaler.ts';
import { type Asked, createWorkers, parseLoad } from './workers.ts';

const metricsOf = (useful: number, oldestS = 0, waiting = useful) =>
  `# HELP x\nangarium_delivery_useful_recipients ${useful}\nangarium_delivery_useful_oldest_seconds ${oldestS}\nangarium_delivery_recipients_waiting ${waiting}\n`;

async function startWorker(t: { after(run: () => void): void }, useful: number) {
  const worker = { useful, isSilent: false };
  const server = createServer((_request, response) => {
    if (!worker.isSilent) response.end(metricsOf(worker.useful));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { worker, at: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('a load is read from metrics, and not from what is no worker', () => {
  assert.deepEqual(parseLoad(metricsOf(5, 1.5, 9)), { useful: 5, oldestMs: 1500, held: 9 });
  assert.equal(parseLoad(''), undefined);
  assert.equal(parseLoad('angarium_delivery_useful_recipients NaN\n'), undefined);
});

test('the loads of all workers are added; one that does not answer counts as it was, for a while', async (t) => {
  const [one, other] = [await startWorker(t, 100), await startWorker(t, 20)];
  const ask = createWorkers({ at: [one.at, other.at], timeoutMs: 500, rememberMs: 1000 });
  assert.deepEqual(await ask(0), { load: { useful: 120, oldestMs: 0, held: 120, workers: 2 }, unanswered: 0 });
  other.worker.isSilent = true;
  assert.deepEqual(await ask(1000), { load: { useful: 120, oldestMs: 0, held: 120, workers: 1 }, unanswered: 1 });
  assert.deepEqual(await ask(1001), { load: { useful: 100, oldestMs: 0, held: 100, workers: 1 }, unanswered: 1 });
  one.worker.isSilent = true;
  assert.deepEqual(await ask(3000), { load: undefined, unanswered: 2 });
});

/** A clock whose only timer is called by hand. */
function createHandClock() {
  let nowMs = 0;
  let next = () => {};
  const clock: Clock = {
    nowMs: () => nowMs,
    after: (delayMs, run) => {
      next = () => {
        nowMs += delayMs;
        run();
      };
      return () => {
        next = () => {};
      };
    },
  };
  return { clock, tick: () => next() };
}

test('the number is exported from the start, tells its listeners of changes, and holds while nobody answers', async () => {
  const { clock, tick } = createHandClock();
  const metrics = createMetrics({ withProcess: false });
  let asked: Asked = { load: undefined, unanswered: 1 };
  const config = configSchema.parse({ scaling: { usefulPerWorker: 10, maxWorkers: 6 }, journal: { lanes: 4 } });
  const scaler = createScaler({ config, clock, logger: silentLogger, metrics, ask: async () => asked });
  const gauge = async (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec((await metrics.scrape()).text)?.[1]);
  await scaler.start();
  assert.equal(await gauge(WANTED), 1);
  assert.equal(scaler.notReady().length, 1);
  const told: number[] = [];
  scaler.onChange(() => told.push(scaler.wanted()));
  const look = async (next: Asked) => {
    asked = next;
    tick();
    await new Promise(setImmediate);
  };
  await look({ load: { useful: 25, oldestMs: 0, held: 0, workers: 1 }, unanswered: 0 });
  await look({ load: { useful: 1000, oldestMs: 0, held: 0, workers: 1 }, unanswered: 0 });
  assert.deepEqual(told, [3, 4]);
  assert.deepEqual(scaler.notReady(), []);
  await look({ load: undefined, unanswered: 2 });
  assert.equal(await gauge(WANTED), 4);
  assert.equal(await gauge('angarium_scaler_unanswered_workers'), 2);
  scaler.stop();
});

test('Kubernetes reads the number over HTTPS, and nothing else is there', async (t) => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
  const tls = { current: () => ({ key: Buffer.from(key), cert: Buffer.from(cert) }), onChange: () => () => {} };
  const served = { host: '127.0.0.1', port: 0, tls, name: WANTED, value: () => 7, nowMs: () => 0 };
  const server = await serveExternalMetrics(served);
  t.after(() => server.close());
  const ask = (path: string): Promise<{ readonly status: number; readonly body: string }> =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port: server.port, path, rejectUnauthorized: false, agent: false }, (response) => {
        let body = '';
        response.on('data', (part) => {
          body += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      }).once('error', reject);
    });
  const { body } = await ask(`/apis/external.metrics.k8s.io/v1beta1/namespaces/mail/${WANTED}?labelSelector=`);
  const { kind, items } = JSON.parse(body) as { kind: string; items: { metricName: string; value: string; timestamp: string }[] };
  assert.equal(kind, 'ExternalMetricValueList');
  assert.deepEqual(items, [{ metricName: WANTED, metricLabels: {}, timestamp: '1970-01-01T00:00:00.000Z', value: '7' }]);
  assert.match((await ask('/apis/external.metrics.k8s.io/v1beta1')).body, new RegExp(`"name":"${WANTED}"`));
  assert.equal((await ask('/apis/external.metrics.k8s.io/v1beta1/namespaces/mail/another')).status, 404);
});
