import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { type Answer, decode, encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { type FixtureZones, startDnsFixture } from '../../../test/fixtures/dns.ts';
import { createResolver, type ResolverOptions } from './resolver.ts';

/** Timers are real, the wall clock is moved by hand. */
function handClock() {
  let nowMs = 1_000_000;
  return {
    nowMs: () => nowMs,
    advance: (ms: number) => {
      nowMs += ms;
    },
    after: (delayMs: number, run: () => void) => {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
  };
}

async function withFixture(zones: FixtureZones, options: Partial<ResolverOptions> & { readonly noEdns?: boolean } = {}) {
  const fixture = await startDnsFixture(zones, { noEdns: options.noEdns === true });
  const clock = handClock();
  const resolver = createResolver({ servers: [fixture.server], timeoutMs: 500, clock, ...options });
  return { fixture, clock, resolver };
}

/** A port where nothing answers, and nothing refuses. */
async function silentServer() {
  const socket = createSocket('udp4');
  let asked = 0;
  socket.on('message', () => asked++);
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { server: `127.0.0.1:${socket.address().port}`, asked: () => asked, close: () => socket.close() };
}

/** A server that answers everything with this. */
async function withReply(reply: Partial<Packet>) {
  const socket = createSocket('udp4');
  socket.on('message', (octets, from) => {
    const { id = 0, questions = [] } = decode(octets);
    socket.send(encode({ type: 'response', id, questions, ...reply }), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const servers = [`127.0.0.1:${socket.address().port}`];
  return { answer: socket, resolver: createResolver({ servers, timeoutMs: 200, clock: handClock(), rounds: 1 }) };
}

test('an answer brings records, the shortest life of its records and the AD bit', async (t) => {
  const { fixture, resolver } = await withFixture({ 'a.test': { A: ['192.0.2.1', '192.0.2.2'], ttlS: 120, authenticated: true } });
  t.after(fixture.close);
  assert.deepEqual(await resolver.query('A.test.', 'A'), {
    is: 'found',
    records: ['192.0.2.1', '192.0.2.2'],
    ttlMs: 120_000,
    authenticated: true,
  });
});

test('a name without such records is nodata, a name that is not there is nxdomain', async (t) => {
  const { fixture, resolver } = await withFixture({ 'a.test': { A: ['192.0.2.1'] } });
  t.after(fixture.close);
  assert.deepEqual(await resolver.query('a.test', 'MX'), { is: 'nodata', ttlMs: 30_000, authenticated: false });
  assert.deepEqual(await resolver.query('b.test', 'MX'), { is: 'nxdomain', ttlMs: 30_000, authenticated: false });
});

test('SERVFAIL, REFUSED, octets that are no packet and a wrong id are failures, not verdicts on the name', async (t) => {
  const { fixture, resolver } = await withFixture(
    {
      'servfail.test': { trouble: 'SERVFAIL' },
      'refused.test': { trouble: 'REFUSED' },
      'garbage.test': { trouble: 'garbage' },
      'forged.test': { A: ['192.0.2.66'], trouble: 'wrong-id' },
    },
    { timeoutMs: 60 },
  );
  t.after(fixture.close);
  for (const name of ['servfail.test', 'refused.test', 'garbage.test', 'forged.test']) {
    assert.equal((await resolver.query(name, 'A')).is, 'failed', name);
  }
});

test("a failure is our own fault where no resolver works, and the name's where one answered that it cannot find out", async (t) => {
  const silent = await silentServer();
  t.after(silent.close);
  const fixture = await startDnsFixture({
    'lame.test': { trouble: 'SERVFAIL' },
    'unanswered.test': { trouble: 'silent' },
    'unwanted.test': { trouble: 'REFUSED' },
  });
  t.after(fixture.close);
  const hostile = await startDnsFixture({ '.': { trouble: 'REFUSED' }, 'any.test': { trouble: 'REFUSED' } });
  t.after(hostile.close);
  const ownFault = async (name: string, servers: readonly string[]) => {
    const answer = await createResolver({ servers, timeoutMs: 40, clock: handClock() }).query(name, 'A');
    return answer.is === 'failed' ? answer.ownFault : answer.is;
  };
  assert.equal(await ownFault('lame.test', [fixture.server]), false);
  assert.equal(await ownFault('lame.test', [silent.server, fixture.server]), false);
  assert.equal(await ownFault('lame.test', [fixture.server, silent.server]), false);
  assert.equal(await ownFault('unanswered.test', [fixture.server]), false);
  assert.equal(await ownFault('unwanted.test', [silent.server, fixture.server]), false);
  assert.equal(await ownFault('any.test', [silent.server]), true);
  assert.equal(await ownFault('any.test', [silent.server, hostile.server]), true);
});

test('a referral is no answer: a server that does not look further takes no record from a name', async (t) => {
  const { resolver, answer } = await withReply({ authorities: [{ type: 'NS', name: 'test', ttl: 60, data: 'ns.test' }] });
  t.after(() => answer.close());
  const reading = await resolver.query('a.test', 'MX');
  assert.deepEqual(reading, { is: 'failed', reason: '127.0.0.1: a referral, no answer', ownFault: true });
});

test('a reply that is cut off in the midst of a record is asked for again over TCP, and believed only when it is whole', async (t) => {
  const { fixture, resolver } = await withFixture(
    { 'big.test': { A: ['192.0.2.1'], trouble: 'tc-mid-record' }, 'cut.test': { A: ['192.0.2.1'], trouble: 'tc-always' } },
    { rounds: 1 },
  );
  t.after(fixture.close);
  assert.equal((await resolver.query('big.test', 'A')).is, 'found');
  assert.deepEqual(fixture.asked, ['udp A big.test', 'tcp A big.test']);
  assert.equal((await resolver.query('cut.test', 'A')).is, 'failed');
});

test('whether the servers work at all is asked once for many names that fail, and again later', async (t) => {
  const names = Array.from({ length: 20 }, (_, index) => `n${index}.test`);
  const zones: FixtureZones = Object.fromEntries(names.map((name) => [name, { trouble: 'silent' }]));
  zones['.'] = { trouble: 'silent' };
  const { fixture, clock, resolver } = await withFixture(zones, { timeoutMs: 40, rounds: 1 });
  t.after(fixture.close);
  const ask = async () =>
    (await Promise.all(names.map((name) => resolver.query(name, 'A')))).map((answer) => answer.is === 'failed' && answer.ownFault);
  assert.deepEqual(new Set(await ask()), new Set([true]));
  assert.equal(fixture.asked.filter((question) => question === 'udp NS .').length, 1);
  delete zones['.'];
  clock.advance(5000);
  assert.deepEqual(new Set(await ask()), new Set([false]));
  assert.equal(fixture.asked.filter((question) => question === 'udp NS .').length, 2);
});

test('a silent server is given up after its time and the next one is asked, and stays the preferred one', async (t) => {
  const silent = await silentServer();
  const fixture = await startDnsFixture({ 'a.test': { A: ['192.0.2.1'] }, 'b.test': { A: ['192.0.2.2'] } });
  t.after(fixture.close);
  t.after(silent.close);
  const resolver = createResolver({ servers: [silent.server, fixture.server], timeoutMs: 100, clock: handClock() });
  assert.equal((await resolver.query('a.test', 'A')).is, 'found');
  assert.equal((await resolver.query('b.test', 'A')).is, 'found');
  assert.equal(silent.asked(), 1);
});

test('a server that nobody runs is a failure at once', async () => {
  const silent = await silentServer();
  silent.close();
  const resolver = createResolver({ servers: [silent.server], timeoutMs: 60_000, clock: handClock() });
  assert.equal((await resolver.query('a.test', 'A')).is, 'failed');
});

test('a truncated answer is asked for again over TCP', async (t) => {
  const { fixture, resolver } = await withFixture({ 'big.test': { A: ['192.0.2.1'], trouble: 'tc' } });
  t.after(fixture.close);
  assert.equal((await resolver.query('big.test', 'A')).is, 'found');
  assert.deepEqual(fixture.asked, ['udp A big.test', 'tcp A big.test']);
});

test('a server older than EDNS is asked without it', async (t) => {
  const { fixture, resolver } = await withFixture({ 'a.test': { A: ['192.0.2.1'] } }, { noEdns: true });
  t.after(fixture.close);
  assert.equal((await resolver.query('a.test', 'A')).is, 'found');
  assert.equal((await resolver.query('a.test', 'MX')).is, 'nodata');
  assert.equal(fixture.asked.length, 3);
});

test('an answer is kept for its life, between the bounds, and then asked for again', async (t) => {
  const { fixture, clock, resolver } = await withFixture(
    { 'a.test': { A: ['192.0.2.1'], ttlS: 0 }, 'b.test': { A: ['192.0.2.1'], ttlS: 999_999 } },
    { minTtlMs: 5000, maxTtlMs: 60_000 },
  );
  t.after(fixture.close);
  assert.equal((await resolver.query('a.test', 'A')).is, 'found');
  clock.advance(4999);
  const kept = await resolver.query('a.test', 'A');
  assert.equal(kept.is === 'found' && kept.ttlMs, 1);
  assert.equal(fixture.asked.length, 1);
  clock.advance(1);
  await resolver.query('a.test', 'A');
  assert.equal(fixture.asked.length, 2);
  await resolver.query('b.test', 'A');
  clock.advance(60_000);
  await resolver.query('b.test', 'A');
  assert.equal(fixture.asked.length, 4);
});

test('a failure is remembered shortly, a missing name for its negative life', async (t) => {
  const zones: FixtureZones = { 'down.test': { trouble: 'SERVFAIL' } };
  const { fixture, clock, resolver } = await withFixture(zones, { rounds: 1, failureTtlMs: 5000 });
  t.after(fixture.close);
  await resolver.query('down.test', 'A');
  await resolver.query('down.test', 'A');
  await resolver.query('gone.test', 'A');
  clock.advance(29_999);
  await resolver.query('gone.test', 'A');
  assert.deepEqual(fixture.asked, ['udp A down.test', 'udp A gone.test']);
  zones['down.test'] = { A: ['192.0.2.1'] };
  assert.equal((await resolver.query('down.test', 'A')).is, 'found');
});

test('the cache is bounded', async (t) => {
  const { fixture, resolver } = await withFixture({}, { cacheEntries: 2 });
  t.after(fixture.close);
  for (const name of ['a.test', 'b.test', 'c.test', 'a.test']) await resolver.query(name, 'A');
  assert.equal(fixture.asked.length, 4);
});

test('equal questions at once are asked once', async (t) => {
  const { fixture, resolver } = await withFixture({ 'a.test': { A: ['192.0.2.1'] } });
  t.after(fixture.close);
  const answers = await Promise.all(Array.from({ length: 50 }, () => resolver.query('a.test', 'A')));
  assert.ok(answers.every((answer) => answer.is === 'found'));
  assert.equal(fixture.asked.length, 1);
});

test('more questions than may be on the wire wait for their turn; far more fail', async (t) => {
  const { fixture, resolver } = await withFixture({}, { maxInFlight: 2 });
  t.after(fixture.close);
  const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => resolver.query(`n${index}.test`, 'A')));
  assert.equal(answers.filter((answer) => answer.is === 'nxdomain').length, 82);
  assert.equal(answers.filter((answer) => answer.is === 'failed' && answer.ownFault).length, 18);
});

test('aliases are followed, in one reply and over several, and a chain of them ends', async (t) => {
  const loop = Object.fromEntries(
    Array.from({ length: 12 }, (_, index) => [`l${index}.test`, { CNAME: `l${index + 1}.test`, bareAlias: true }]),
  );
  const { fixture, resolver } = await withFixture({
    'one.test': { CNAME: 'end.test', ttlS: 10 },
    'bare.test': { CNAME: 'one.test', bareAlias: true },
    'gone.test': { CNAME: 'missing.test' },
    'end.test': { A: ['192.0.2.1'] },
    ...loop,
  });
  t.after(fixture.close);
  const one = await resolver.query('one.test', 'A');
  assert.equal(one.is === 'found' && one.ttlMs, 10_000);
  assert.equal((await resolver.query('bare.test', 'A')).is, 'found');
  assert.equal((await resolver.query('gone.test', 'A')).is, 'nxdomain');
  assert.deepEqual(await resolver.query('l0.test', 'A'), { is: 'failed', reason: 'more than 8 aliases', ownFault: false });
  assert.equal((await resolver.query('end.test', 'MX')).is, 'nodata');
});

test('names of the table and localhost are not asked for', async (t) => {
  const { fixture, resolver } = await withFixture({}, { hosts: new Map([['relay', ['192.0.2.7', '2001:db8::7']]]) });
  t.after(fixture.close);
  assert.deepEqual(await resolver.query('relay', 'AAAA'), {
    is: 'found',
    records: ['2001:db8::7'],
    ttlMs: 86_400_000,
    authenticated: false,
  });
  assert.equal((await resolver.query('localhost', 'A')).is, 'found');
  assert.equal((await resolver.query('a.localhost', 'MX')).is, 'nodata');
  assert.deepEqual(fixture.asked, []);
});

test('what can be no name does not exist, and is not asked for', async (t) => {
  const { fixture, resolver } = await withFixture({});
  t.after(fixture.close);
  for (const name of ['', '.', 'a..b', `${'x'.repeat(64)}.test`, `${'x.'.repeat(127)}toolong`]) {
    assert.equal((await resolver.query(name, 'A')).is, 'nxdomain', name);
  }
  assert.deepEqual(fixture.asked, []);
});

test('a name with other letters is asked for in A-label form', async (t) => {
  const { fixture, resolver } = await withFixture({ 'xn--bcher-kva.test': { A: ['192.0.2.1'] } });
  t.after(fixture.close);
  assert.equal((await resolver.query('Bücher.test', 'A')).is, 'found');
});

test('with mixed case the question comes back as it went out', async (t) => {
  const name = 'a-long-name-with-many-letters.test';
  const { fixture, resolver } = await withFixture({ [name]: { A: ['192.0.2.1'] } }, { mixCase: true });
  t.after(fixture.close);
  assert.equal((await resolver.query(name, 'A')).is, 'found');
  assert.notEqual(fixture.names[0], name);
});

test('a reply with any octets changed never makes a question reject, and never hangs it', async (t) => {
  const answers: Answer[] = [
    { type: 'CNAME', name: 'a.test', ttl: 60, data: 'b.test' },
    { type: 'MX', name: 'b.test', ttl: 60, data: { preference: 10, exchange: 'mx.test' } },
  ];
  let damage: readonly (readonly [number, number])[] = [];
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.on('message', (octets, from) => {
    const query = decode(octets);
    const reply = encode({ type: 'response', id: query.id ?? 0, questions: query.questions ?? [], answers });
    for (const [place, value] of damage) reply[2 + (place % (reply.length - 2))] = value;
    socket.send(reply, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const octet = fc.tuple(fc.nat(200), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(fc.array(octet, { maxLength: 6 }), async (changes) => {
      damage = changes;
      const servers = [`127.0.0.1:${socket.address().port}`];
      const resolver = createResolver({ servers, timeoutMs: 5, clock: handClock(), rounds: 1 });
      const answer = await resolver.query('a.test', 'MX');
      return ['found', 'nodata', 'nxdomain', 'failed'].includes(answer.is);
    }),
    { numRuns: 300 },
  );
});

test('each question to the servers is observed with its outcome, those that the cache answers are not', async (t) => {
  const seen: string[] = [];
  const observe = (outcome: string, seconds: number) => {
    assert.ok(seconds > 0 && seconds < 5, `${seconds} s`);
    seen.push(outcome);
  };
  const { fixture, resolver } = await withFixture({ 'a.test': { A: ['192.0.2.1'] } }, { observe });
  t.after(fixture.close);
  for (let time = 0; time < 2; time++) await resolver.query('a.test', 'A');
  await resolver.query('a.test', 'MX');
  await resolver.query('none.test', 'A');
  assert.deepEqual(seen, ['found', 'nodata', 'nxdomain']);
});
