import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer, MxHost, RecordType, Resolver } from '@angarium/dns';
import { NextHopKind } from '@angarium/records';
import { type TransportResponse, TransportTls, Unavailable } from '@angarium/rpc';
import { configSchema } from '@angarium/runtime';
import { createPlanner, orderHosts } from './plan.ts';

const FOUND: TransportResponse = { found: true, host: 'relay.test', port: 0, tls: TransportTls.REQUIRED, login: '', password: '' };
const mx = (name: string) => ({ kind: NextHopKind.MX, name, account: '' });
const smarthost = { kind: NextHopKind.SMARTHOST, name: 'relay', account: '' };

function bench(
  o: { readonly transport?: () => Promise<TransportResponse>; readonly answer?: (name: string, type: RecordType) => Answer } = {},
) {
  let nowMs = 1000;
  const asked: string[] = [];
  const answer =
    o.answer ??
    ((_, type) =>
      type === 'A'
        ? { is: 'found', records: ['192.0.2.1'], ttlMs: 60_000, authenticated: false }
        : { is: 'nodata', ttlMs: 60_000, authenticated: false });
  const resolver = {
    query: async (name: string, type: RecordType) => {
      asked.push(`${type} ${name}`);
      return answer(name, type);
    },
  } as Resolver;
  const resolve = createPlanner({
    config: configSchema.parse({ hostname: 'us.test', delivery: { transportValidMs: 1000 } }),
    resolver,
    directory: { transport: o.transport ?? (async () => FOUND) },
    nowMs: () => nowMs,
    random: () => 0,
  });
  return {
    asked,
    resolve,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

test('a plan is kept while its records hold, and made again after', async () => {
  const { asked, resolve, advance } = bench();
  const first = await resolve(mx('a.test'));
  assert.ok(first.is === 'plan');
  assert.deepEqual(
    [first.plan.site, first.plan.title, first.plan.port, first.plan.tls, first.plan.validUntilMs],
    ['a.test', 'a.test', 25, 'opportunistic', 61_000],
  );
  advance(59_999);
  await resolve(mx('a.test'));
  assert.equal(asked.length, 3);
  advance(1);
  await resolve(mx('a.test'));
  assert.equal(asked.length, 6);
});

test('equal questions at once are asked once', async () => {
  const { asked, resolve } = bench();
  await Promise.all([resolve(mx('a.test')), resolve(mx('a.test')), resolve(mx('a.test'))]);
  assert.equal(asked.length, 3);
});

test('a domain that does not exist bounces in our own name', async () => {
  const { resolve } = bench({ answer: () => ({ is: 'nxdomain', ttlMs: 60_000, authenticated: false }) });
  const resolution = await resolve(mx('a.test'));
  assert.deepEqual(resolution.is === 'bounced' && [resolution.reply.code, resolution.reply.enhanced, resolution.reply.remoteHost], [
    550,
    '5.1.2',
    '',
  ]);
});

test('a resolver that is down is our own fault, and not remembered', async () => {
  const { asked, resolve } = bench({ answer: () => ({ is: 'failed', reason: 'no answer in time', ownFault: true }) });
  const resolution = await resolve(mx('a.test'));
  assert.deepEqual(resolution.is === 'deferred' && [resolution.ownFault, resolution.reply.enhanced], [true, '4.4.3']);
  await resolve(mx('a.test'));
  assert.equal(asked.length, 2);
});

test('name servers of the domain that fail are not our fault', async () => {
  const { resolve } = bench({ answer: () => ({ is: 'failed', reason: 'SERVFAIL', ownFault: false }) });
  const resolution = await resolve(mx('a.test'));
  assert.deepEqual(resolution.is === 'deferred' && [resolution.ownFault, resolution.reply.enhanced], [false, '4.4.3']);
});

test('a smarthost is read from the directory, its host by address alone, and read again when its time is up', async () => {
  let reads = 0;
  const { asked, resolve, advance } = bench({
    transport: async () => ({ ...FOUND, port: ++reads === 1 ? 0 : 2525, login: 'u', password: 'p' }),
  });
  const first = await resolve(smarthost);
  assert.ok(first.is === 'plan');
  assert.deepEqual(
    [first.plan.port, first.plan.tls, first.plan.verified, first.plan.login],
    [587, 'required', true, { user: 'u', pass: 'p' }],
  );
  assert.ok(!asked.some((question) => question.startsWith('MX')));
  advance(999);
  await resolve(smarthost);
  assert.equal(reads, 1);
  advance(1);
  const again = await resolve(smarthost);
  assert.equal(again.is === 'plan' && again.plan.port, 2525);
});

test('a smarthost may be an address', async () => {
  const { asked, resolve } = bench({ transport: async () => ({ ...FOUND, host: '[IPv6:2001:db8::1]', tls: TransportTls.IMPLICIT }) });
  const resolution = await resolve(smarthost);
  assert.deepEqual(resolution.is === 'plan' && [resolution.plan.hosts[0]?.addresses, resolution.plan.port], [['2001:db8::1'], 465]);
  assert.deepEqual(asked, []);
});

test('whatever is wrong with a smarthost is our own fault', async () => {
  const rows: (() => Promise<TransportResponse>)[] = [
    async () => ({ ...FOUND, found: false }),
    async () => ({ ...FOUND, tls: -1 }),
    async () => Promise.reject(new Unavailable('down')),
    async () => FOUND,
  ];
  for (const transport of rows) {
    const { resolve } = bench({ transport, answer: () => ({ is: 'nxdomain', ttlMs: 1, authenticated: false }) });
    const resolution = await resolve(smarthost);
    assert.equal(resolution.is === 'deferred' && resolution.ownFault, true);
  }
});

test('a bug in the directory is not taken for trouble of the world', async () => {
  const { resolve } = bench({ transport: async () => Promise.reject(new TypeError('bug')) });
  await assert.rejects(resolve(smarthost), TypeError);
});

test('the memory of plans is bounded', async () => {
  const { asked, resolve } = bench();
  for (let index = 0; index <= 20_000; index++) await resolve(mx(`d${index}.test`));
  asked.length = 0;
  await resolve(mx('d20000.test'));
  assert.equal(asked.length, 0);
  await resolve(mx('d0.test'));
  assert.equal(asked.length, 3);
});

test('of the best hosts one with a kept connection comes first; a worse one does not', () => {
  const host = (name: string, preference: number): MxHost => ({ name, preference, addresses: [] });
  const hosts = [host('a', 1), host('b', 1), host('c', 2)];
  const order = (kept: string) =>
    orderHosts(
      hosts,
      () => 0,
      ({ name }) => name === kept,
    ).map(({ name }) => name);
  assert.deepEqual(order('b'), ['b', 'a', 'c']);
  assert.deepEqual(order('c'), ['a', 'b', 'c']);
  assert.deepEqual(order(''), ['a', 'b', 'c']);
});

test('many domains of one provider are one site', async () => {
  const answer = (name: string, type: RecordType): Answer => {
    const records =
      type === 'MX' ? [{ preference: 1, exchange: 'mx.provider.test' }] : type === 'A' && name === 'mx.provider.test' ? ['192.0.2.1'] : [];
    return records.length > 0
      ? { is: 'found', records, ttlMs: 1000, authenticated: false }
      : { is: 'nodata', ttlMs: 1000, authenticated: false };
  };
  const { resolve } = bench({ answer });
  const sites = await Promise.all(['a.test', 'b.test'].map((name) => resolve(mx(name))));
  assert.deepEqual(
    sites.map((resolution) => resolution.is === 'plan' && resolution.plan.site),
    ['mx.provider.test', 'mx.provider.test'],
  );
});
