import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '@angarium/runtime';
import fc from 'fast-check';
import { createMeters } from './meters.ts';
import { createProviderFinder, providerNames } from './providers.ts';

const find = createProviderFinder();

test('hosts are of the provider whose domain they are in', () => {
  const provider = (host: string) => find([host], []);
  assert.equal(provider('aspmx.l.google.com'), 'google');
  assert.equal(provider('example-com.mail.protection.outlook.com'), 'microsoft');
  assert.equal(provider('mx00.gmx.net'), 'gmx');
  assert.equal(provider('mta5.am0.yahoodns.net'), 'yahoo');
  assert.equal(provider('mxa-0001.gslb.pphosted.com'), 'proofpoint');
  assert.equal(provider('mx.notgoogle.com'), 'other');
  assert.equal(provider('[192.0.2.1]'), 'other');
});

test('a limit of the configuration names the provider of its hosts', () => {
  const rules = [{ name: 'big', hosts: ['big.example'], perMs: 1000 }];
  assert.equal(find(['mx.big.example'], ['big']), 'big');
  assert.ok(providerNames(rules).includes('big'));
});

test('whatever the hosts are called, the provider is one of the names', () => {
  const names = new Set(providerNames([]));
  fc.assert(fc.property(fc.array(fc.oneof(fc.domain(), fc.string()), { maxLength: 4 }), (hosts) => names.has(find(hosts, []))));
});

test('attempts at a million domains make no more series than those at a few', async () => {
  const metrics = createMetrics({ withProcess: false });
  const meters = createMeters(metrics, providerNames([]));
  const series = async () => (await metrics.scrape()).text.split('\n').filter((line) => /^angarium/.test(line)).length;
  const before = await series();
  for (let domain = 0; domain < 1_000_000; domain++)
    meters.providerAttempts.inc({ provider: find([`mx.domain${domain}.example`], []), result: 'delivered' });
  assert.equal(await series(), before);
  assert.match(
    (await metrics.scrape()).text,
    /^angarium_delivery_provider_attempts_total\{provider="other",result="delivered"\} 1000000$/m,
  );
});
