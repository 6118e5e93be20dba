import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from './load.ts';

const load = (text: string) => loadConfig({ file: { name: 'a.yaml', text }, environment: {} });
const LIMIT = '{ name: big, hosts: [Big.TEST, 192.0.2.1], connections: 2, messages: 10 }';

test('a limit names its hosts in small letters and counts by the second', () => {
  const loaded = load(`delivery: { limits: [${LIMIT}] }`);
  assert.equal(loaded.is, 'valid');
  assert.deepEqual(loaded.is === 'valid' && loaded.config.delivery.limits, [
    { name: 'big', hosts: ['big.test', '192.0.2.1'], connections: 2, messages: 10, perMs: 1000 },
  ]);
});

test('a limit of nothing, without hosts, of no name, or of the name of another one is an error', () => {
  for (const limits of [
    '{ name: big, hosts: [big.test] }',
    '{ name: big, hosts: [], connections: 1 }',
    '{ name: Big Site, hosts: [big.test], connections: 1 }',
    '{ name: big, hosts: [big.test], connections: 0 }',
    '{ name: big, hosts: [big.test], messages: 1, perMs: 0 }',
    `${LIMIT}, ${LIMIT}`,
  ]) {
    const loaded = load(`delivery: { limits: [${limits}] }`);
    assert.ok(loaded.is === 'invalid' && loaded.errors.every(({ key }) => key.startsWith('delivery.limits')), limits);
  }
});
