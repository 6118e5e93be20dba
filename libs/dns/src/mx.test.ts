import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isReservedAddress, parseAddressLiteral } from './address.ts';
import type { Answer, RecordType } from './answer.ts';
import { parseHosts } from './hosts.ts';
import { type MxOptions, type MxPlan, planMx } from './mx.ts';
import type { Resolver } from './resolver.ts';

type Zone = {
  readonly MX?: readonly (readonly [number, string])[];
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  readonly fails?: readonly RecordType[];
  /** They fail because our resolvers do. */
  readonly ownFault?: boolean;
};

const ttlMs = 60_000;

/** Answers from a table; a name that is missing does not exist. */
function tableResolver(zones: Readonly<Record<string, Zone>>): Resolver {
  const answer = (name: string, type: RecordType): Answer => {
    const zone = zones[name];
    if (zone?.fails?.includes(type)) return { is: 'failed', reason: 'trouble', ownFault: zone.ownFault === true };
    if (!zone) return { is: 'nxdomain', ttlMs, authenticated: false };
    const records = type === 'MX' ? zone.MX?.map(([preference, exchange]) => ({ preference, exchange })) : zone[type];
    return records?.length ? { is: 'found', records, ttlMs, authenticated: false } : { is: 'nodata', ttlMs, authenticated: false };
  };
  return { query: async <T extends RecordType>(name: string, type: T) => answer(name, type) as Answer<T> };
}

const options: MxOptions = { random: () => 0, ownNames: ['us.test'], reservedAddresses: 'allow' };
const plan = (domain: string, zones: Readonly<Record<string, Zone>>, o: Partial<MxOptions> = {}): Promise<MxPlan> =>
  planMx(tableResolver(zones), domain, { ...options, ...o });
const names = (found: MxPlan): readonly string[] => (found.is === 'hosts' ? found.hosts.map(({ name }) => name) : [found.is]);
const status = (found: MxPlan): string => (found.is === 'hosts' ? 'hosts' : `${found.is} ${found.code} ${found.enhanced}`);

test('hosts are tried best preference first, equal ones in the order chance gives', async () => {
  const zones = {
    'a.test': {
      MX: [
        [20, 'c.test'],
        [10, 'x.test'],
        [10, 'y.test'],
      ] as const,
    },
    'c.test': { A: ['192.0.2.3'] },
    'x.test': { A: ['192.0.2.1'] },
    'y.test': { A: ['192.0.2.2'] },
  };
  assert.deepEqual(names(await plan('a.test', zones)), ['x.test', 'y.test', 'c.test']);
  assert.deepEqual(names(await plan('a.test', zones, { random: () => 0.99 })), ['y.test', 'x.test', 'c.test']);
});

test('the site is the set of MX names, whatever their order', async () => {
  const hosts = { 'x.test': { A: ['192.0.2.1'] }, 'y.test': { A: ['192.0.2.2'] } };
  const one = await plan('a.test', {
    ...hosts,
    'a.test': {
      MX: [
        [1, 'x.test'],
        [2, 'y.test'],
      ],
    },
  });
  const other = await plan('b.test', {
    ...hosts,
    'b.test': {
      MX: [
        [5, 'y.test'],
        [5, 'x.test'],
        [9, 'x.test'],
      ],
    },
  });
  assert.equal(one.is === 'hosts' && one.site, 'x.test y.test');
  assert.equal(other.is === 'hosts' && other.site, 'x.test y.test');
});

test('a name listed twice is one host, where it stands best', async () => {
  const found = await plan('a.test', {
    'a.test': {
      MX: [
        [9, 'x.test'],
        [5, 'y.test'],
        [1, 'x.test'],
      ],
    },
    'x.test': { A: ['192.0.2.1'] },
    'y.test': { A: ['192.0.2.2'] },
  });
  assert.deepEqual(names(found), ['x.test', 'y.test']);
});

test('a null MX bounces 556 5.1.10 (RFC 7505)', async () => {
  assert.equal(status(await plan('a.test', { 'a.test': { MX: [[0, '']], A: ['192.0.2.1'] } })), 'bounced 556 5.1.10');
});

test('a null MX among others is no host', async () => {
  const found = await plan('a.test', {
    'a.test': {
      MX: [
        [0, ''],
        [10, 'x.test'],
      ],
    },
    'x.test': { A: ['192.0.2.1'] },
  });
  assert.deepEqual(names(found), ['x.test']);
});

test('without MX records the domain itself is the host', async () => {
  const found = await plan('a.test', { 'a.test': { A: ['192.0.2.1'], AAAA: ['2001:db8::1'] } });
  assert.deepEqual(found.is === 'hosts' && found.hosts, [{ name: 'a.test', preference: 0, addresses: ['2001:db8::1', '192.0.2.1'] }]);
  assert.equal(found.is === 'hosts' && found.site, 'a.test');
});

test('a domain that does not exist bounces 5.1.2', async () => {
  assert.equal(status(await plan('a.test', {})), 'bounced 550 5.1.2');
  assert.equal(status(await plan('a..test', {})), 'bounced 550 5.1.2');
});

test('a domain without MX and addresses bounces 5.4.4', async () => {
  assert.equal(status(await plan('a.test', { 'a.test': {} })), 'bounced 550 5.4.4');
});

test('name server trouble defers: with MX, with the fallback, with the only host', async () => {
  assert.equal(status(await plan('a.test', { 'a.test': { fails: ['MX'] } })), 'deferred 451 4.4.3');
  assert.equal(status(await plan('a.test', { 'a.test': { fails: ['A'] } })), 'deferred 451 4.4.3');
  const half = {
    'a.test': {
      MX: [
        [1, 'x.test'],
        [2, 'y.test'],
      ] as const,
    },
    'x.test': { fails: ['A', 'AAAA'] as const },
  };
  assert.equal(status(await plan('a.test', half)), 'deferred 451 4.4.3');
});

test("name server trouble is our own fault only where nothing of it is the names'", async () => {
  const ownFault = async (zones: Readonly<Record<string, Zone>>) => {
    const found = await plan('a.test', zones);
    return found.is === 'deferred' ? found.ownFault : found.is;
  };
  assert.equal(await ownFault({ 'a.test': { fails: ['MX'] } }), false);
  assert.equal(await ownFault({ 'a.test': { fails: ['MX'], ownFault: true } }), true);
  const MX = [
    [1, 'x.test'],
    [2, 'y.test'],
  ] as const;
  const ours = { fails: ['A', 'AAAA'], ownFault: true } as const;
  assert.equal(await ownFault({ 'a.test': { MX }, 'x.test': ours, 'y.test': ours }), true);
  assert.equal(await ownFault({ 'a.test': { MX }, 'x.test': ours, 'y.test': { fails: ['A'] } }), false);
});

test('a host whose lookup fails is left out, and the plan is made again soon', async () => {
  const found = await plan('a.test', {
    'a.test': {
      MX: [
        [1, 'x.test'],
        [2, 'y.test'],
      ],
    },
    'x.test': { fails: ['A', 'AAAA'] },
    'y.test': { A: ['192.0.2.2'] },
  });
  assert.deepEqual(names(found), ['y.test']);
  assert.ok(found.is === 'hosts' && found.ttlMs <= 60_000);
});

test('hosts without addresses are left out; when all are, it bounces 5.4.4', async () => {
  const zones = {
    'a.test': {
      MX: [
        [1, 'gone.test'],
        [2, 'y.test'],
      ] as const,
    },
    'y.test': { A: ['192.0.2.2'] },
  };
  assert.deepEqual(names(await plan('a.test', zones)), ['y.test']);
  assert.equal(status(await plan('a.test', { 'a.test': { MX: [[1, 'gone.test']] } })), 'bounced 550 5.4.4');
});

test('one family that fails does not hide the other', async () => {
  const found = await plan('a.test', { 'a.test': { A: ['192.0.2.1'], fails: ['AAAA'] } });
  assert.deepEqual(names(found), ['a.test']);
});

test('IPv6 and IPv4 take turns', async () => {
  const found = await plan('a.test', { 'a.test': { A: ['192.0.2.1', '192.0.2.2', '192.0.2.3'], AAAA: ['2001:db8::1'] } });
  assert.deepEqual(found.is === 'hosts' && found.hosts[0]?.addresses, ['2001:db8::1', '192.0.2.1', '192.0.2.2', '192.0.2.3']);
});

test('hosts at or behind our own preference are discarded (RFC 5321 §5.1)', async () => {
  const zones = {
    'a.test': {
      MX: [
        [10, 'x.test'],
        [20, 'us.test'],
        [20, 'y.test'],
        [30, 'z.test'],
      ] as const,
    },
    ...Object.fromEntries(['x', 'y', 'z', 'us'].map((name) => [`${name}.test`, { A: ['192.0.2.1'] }])),
  };
  assert.deepEqual(names(await plan('a.test', zones)), ['x.test']);
});

test('mail that would come back to us bounces 5.4.6', async () => {
  assert.equal(
    status(
      await plan('a.test', {
        'a.test': {
          MX: [
            [10, 'us.test'],
            [20, 'y.test'],
          ],
        },
        'y.test': { A: ['192.0.2.1'] },
      }),
    ),
    'bounced 554 5.4.6',
  );
  assert.equal(status(await plan('us.test', { 'us.test': { A: ['192.0.2.1'] } })), 'bounced 554 5.4.6');
});

test('an address in place of a name is no host', async () => {
  assert.equal(status(await plan('a.test', { 'a.test': { MX: [[1, '192.0.2.9']] } })), 'bounced 550 5.4.4');
});

test('a name that is no host name is no host', async () => {
  const MX = ['a b.test', 'a\n.test', 'ü.test', 'a..test', `${'x'.repeat(70)}.test`].map((name) => [1, name] as const);
  assert.equal(status(await plan('a.test', { 'a.test': { MX } })), 'bounced 550 5.4.4');
});

test('address literals need no resolver', async () => {
  const four = await plan('[192.0.2.1]', {});
  assert.deepEqual(four.is === 'hosts' && [four.site, four.hosts[0]?.addresses], ['[192.0.2.1]', ['192.0.2.1']]);
  const six = await plan('[IPv6:2001:DB8::1]', {});
  assert.deepEqual(six.is === 'hosts' && [six.site, six.hosts[0]?.addresses], ['[ipv6:2001:db8::1]', ['2001:db8::1']]);
  assert.equal(status(await plan('[x400:foo]', {})), 'bounced 550 5.1.2');
});

test('reserved addresses are left out where they are refused', async () => {
  const refuse = { reservedAddresses: 'refuse' } as const;
  const found = await plan('a.test', { 'a.test': { A: ['127.0.0.1', '8.8.8.8', '10.1.2.3'], AAAA: ['::1', 'fe80::1'] } }, refuse);
  assert.deepEqual(found.is === 'hosts' && found.hosts[0]?.addresses, ['8.8.8.8']);
  assert.equal(status(await plan('a.test', { 'a.test': { A: ['127.0.0.1'] } }, refuse)), 'bounced 550 5.4.4');
  assert.equal(status(await plan('[127.0.0.1]', {}, refuse)), 'bounced 550 5.4.4');
});

test('hosts, addresses and the site key are bounded', async () => {
  const MX = Array.from({ length: 3000 }, (_, index) => [index % 3, `h${index}.test`] as const);
  const A = Array.from({ length: 50 }, (_, index) => `192.0.2.${index}`);
  const zones = { 'a.test': { MX }, ...Object.fromEntries(MX.map(([, name]) => [name, { A }])) };
  const found = await plan('a.test', zones, { maxHosts: 3, maxAddresses: 60 });
  assert.ok(found.is === 'hosts');
  assert.deepEqual(
    found.hosts.map(({ addresses }) => addresses.length),
    [50, 10],
  );
  assert.ok(found.site.length < 1000);
});

test('whatever the zone says, hosts are in order, not ours, and have addresses', async () => {
  const name = fc.constantFrom('x.test', 'y.test', 'z.test', 'us.test', '', '192.0.2.9');
  const zone = fc.record({
    A: fc.subarray(['192.0.2.1', '192.0.2.2']),
    AAAA: fc.subarray(['2001:db8::1']),
    fails: fc.subarray<RecordType>(['A', 'AAAA']),
  });
  const zones = fc.record({ 'x.test': zone, 'y.test': zone, 'z.test': zone, 'us.test': zone });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(3), name), { maxLength: 8 }),
      zones,
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      async (MX, hosts, chance) => {
        const found = await plan('a.test', { ...hosts, 'a.test': { MX } }, { random: () => chance.next().value ?? 0 });
        if (found.is !== 'hosts') return found.is === 'bounced' || Object.values(hosts).some(({ fails }) => fails.length > 0);
        const preferences = found.hosts.map(({ preference }) => preference);
        const own = Math.min(...MX.filter(([, exchange]) => exchange === 'us.test').map(([preference]) => preference));
        return (
          found.hosts.length > 0 &&
          preferences.every((preference, index) => preference < own && preference >= (preferences[index - 1] ?? 0)) &&
          found.hosts.every(({ addresses }) => addresses.length > 0)
        );
      },
    ),
  );
});

test('literals and reserved addresses are told apart', () => {
  assert.equal(parseAddressLiteral('[192.0.2.256]'), undefined);
  assert.equal(parseAddressLiteral('192.0.2.1'), undefined);
  assert.equal(parseAddressLiteral('[IPv6:192.0.2.1]'), undefined);
  for (const address of [
    '0.0.0.0',
    '172.31.255.255',
    '100.64.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    'ff02::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    'x',
  ])
    assert.ok(isReservedAddress(address), address);
  for (const address of ['8.8.8.8', '172.32.0.1', '2606:4700::1111']) assert.ok(!isReservedAddress(address), address);
});

test('a hosts file gives addresses by name, comments and nonsense left out', () => {
  const hosts = parseHosts('127.0.0.1 localhost Relay # one\n::1 localhost\nnonsense here\n\n');
  assert.deepEqual(
    [...hosts],
    [
      ['localhost', ['127.0.0.1', '::1']],
      ['relay', ['127.0.0.1']],
    ],
  );
});
