import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { ExternalScalerClient, type GetMetricsResponse, type IsActiveResponse } from './gen/externalscaler/externalscaler.ts';
import { serveRpc } from './server.ts';

const OBJECT = { name: 'mail-delivery', namespace: 'mail', scalerMetadata: {} };

/** A number that the test sets. */
function createNumber() {
  let value = 0;
  const listeners = new Set<() => void>();
  return {
    name: 'wanted',
    value: () => value,
    onChange: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set(next: number) {
      value = next;
      for (const listener of listeners) listener();
    },
    listeners,
  };
}

async function start(t: { after(run: () => Promise<void>): void }) {
  const number = createNumber();
  const server = await serveRpc({ address: '127.0.0.1:0', services: { scaler: number }, onFault: (error) => assert.fail(String(error)) });
  const client = new ExternalScalerClient(`127.0.0.1:${server.port}`, credentials.createInsecure());
  t.after(async () => {
    client.close();
    await server.close();
  });
  return { number, client };
}

test('KEDA is told one metric with a target of 1, so that there are as many replicas as it says', async (t) => {
  const { number, client } = await start(t);
  number.set(5);
  const spec = await new Promise((resolve, reject) =>
    client.getMetricSpec(OBJECT, (error, response) => (error ? reject(error) : resolve(response))),
  );
  assert.deepEqual(spec, { metricSpecs: [{ metricName: 'wanted', targetSize: 1, targetSizeFloat: 1 }] });
  const { metricValues } = await new Promise<GetMetricsResponse>((resolve, reject) =>
    client.getMetrics({ scaledObjectRef: OBJECT, metricName: 'wanted' }, (error, response) => (error ? reject(error) : resolve(response))),
  );
  assert.deepEqual(metricValues, [{ metricName: 'wanted', metricValue: 5, metricValueFloat: 5 }]);
});

test('KEDA is told at once when something is wanted again, once for each change, and nobody listens when it has gone', async (t) => {
  const { number, client } = await start(t);
  const stream = client.streamIsActive(OBJECT);
  const next = async () => ((await once(stream, 'data'))[0] as IsActiveResponse).result;
  assert.equal(await next(), false);
  number.set(1);
  assert.equal(await next(), true);
  number.set(2);
  number.set(0);
  assert.equal(await next(), false);
  stream.on('error', () => {});
  stream.cancel();
  while (number.listeners.size > 0) await new Promise(setImmediate);
});
