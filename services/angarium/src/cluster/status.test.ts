import assert from 'node:assert/strict';
import { test } from 'node:test';
import { driftOf, type PodReport } from './status.ts';

const pod = (name: string, more: Partial<PodReport> = {}): PodReport => ({
  ...{ pod: name, service: 'ingress', node: 'n', isReady: true, restarts: 0, startedAtMs: 0, image: 'a', config: 'c' },
  ...more,
});

test('pods that are ready and alike give nothing to look at', () => {
  assert.deepEqual(driftOf([pod('a'), pod('b'), pod('d', { service: 'delivery', lanes: 0 })]), []);
});

test('another image, another configuration, a pod that is not ready and a worker that does not answer are told', () => {
  const pods = [pod('a'), pod('b', { image: 'x', config: 'y' }), pod('c', { isReady: false }), pod('d', { service: 'delivery' })];
  assert.deepEqual(driftOf(pods), [
    'pods run 2 different images',
    'pods were started with 2 different configurations',
    'c is not ready',
    'd does not tell its lanes',
  ]);
});
