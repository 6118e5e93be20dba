import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics, systemClock } from '@angarium/runtime';
import { connectAny, isOwnFault } from './connect.ts';
import { outcomes, recipients, SMALL, startBench } from './fixtures/bench.ts';

const OFFERS = ['PIPELINING'];
/** Waits for a condition that other hands bring about; the test's own limit ends it. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
const said = (lines: readonly string[], verb: string): number => lines.filter((line) => line.includes(verb)).length;

test('a connection is used again for the next messages, without RSET', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: OFFERS }]);
  for (let message = 0; message < 5; message++) assert.deepEqual(outcomes(await send()), ['delivered 250 2.0.0']);
  assert.equal(hosts[0]?.connections(), 1);
  assert.equal(said(hosts[0]?.lines ?? [], 'RSET'), 0);
});

test('after a refused transaction the next one begins with RSET, in the same segment', async (t) => {
  const { hosts, send } = await startBench(t, [
    {
      offers: OFFERS,
      answers: { MAIL: (_, count) => (count === 0 ? '550 no' : '250 ok'), DATA: (_, count) => (count === 0 ? '503 no' : '354 go') },
    },
  ]);
  await send();
  assert.deepEqual(outcomes(await send()), ['delivered 250 2.0.0']);
  assert.equal(hosts[0]?.connections(), 1);
  assert.match(hosts[0]?.segments.at(-1) ?? '', /^RSET\r\nMAIL FROM:.*\r\nRCPT TO:.*\r\nDATA\r\n$/);
});

test('messages at once have connections of their own', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: OFFERS }]);
  await Promise.all([send(), send(), send()]);
  assert.equal(hosts[0]?.connections(), 3);
  await Promise.all([send(), send(), send()]);
  assert.equal(hosts[0]?.connections(), 3);
});

test('a connection is closed with QUIT after its share of messages', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: OFFERS }], { delivery: { messagesPerConnection: 2 } });
  for (let message = 0; message < 5; message++) await send();
  assert.equal(hosts[0]?.connections(), 3);
  await until(() => said(hosts[0]?.lines ?? [], 'QUIT') === 2);
});

test('an unused connection is closed with QUIT when its time is up', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: OFFERS }], { delivery: { connectionIdleMs: 40 } });
  await send();
  await until(() => said(hosts[0]?.lines ?? [], 'QUIT') === 1);
  await send();
  assert.equal(hosts[0]?.connections(), 2);
});

test('a kept connection that the host has closed is not taken', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: OFFERS }]);
  await send();
  hosts[0]?.dropAll();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(outcomes(await send()), ['delivered 250 2.0.0']);
});

for (const [name, dying] of [
  ['is dropped at the next MAIL', { and: 'drop' }],
  ['is reset at the next MAIL', { and: 'reset' }],
  ['answers the next MAIL with 421', '421 4.4.2 idle too long'],
] as const) {
  test(`a kept connection that ${name} costs nothing: a new one carries the message`, async (t) => {
    let asked = 0;
    const { hosts, send } = await startBench(t, [{ offers: OFFERS, answers: { MAIL: () => (++asked === 2 ? dying : '250 ok') } }]);
    await send();
    const result = await send();
    assert.deepEqual(outcomes(result), ['delivered 250 2.0.0']);
    assert.equal(hosts[0]?.connections(), 2);
    assert.equal(hosts[0]?.messages.length, 2);
  });
}

test('what a host says unasked ends a kept connection', async (t) => {
  const { hosts, send } = await startBench(t, [
    { offers: OFFERS, answers: { '.': (_, count) => (count === 0 ? { raw: '250 ok\r\n250 ok\r\n' } : '250 ok') } },
  ]);
  assert.deepEqual(outcomes(await send()), ['delivered 250']);
  assert.deepEqual(outcomes(await send()), ['delivered 250']);
  assert.equal(hosts[0]?.connections(), 2);
});

test('a host that does not speak SMTP is not spoken to again', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: OFFERS, answers: { RCPT: (_, count) => (count === 0 ? '999 hm' : '250 ok') } }]);
  await send();
  await send();
  assert.equal(hosts[0]?.connections(), 2);
});

test('close says QUIT and leaves nothing open', async (t) => {
  const { hosts, send, transport } = await startBench(t, [{ offers: OFFERS }]);
  await Promise.all([send(), send()]);
  await transport.close();
  assert.equal(said(hosts[0]?.lines ?? [], 'QUIT'), 2);
});

test('after close nothing is opened: what was under way is deferred by our own doing', async (t) => {
  const { hosts, send, transport } = await startBench(t, [{ answers: { MAIL: { and: 'stall' } } }, {}]);
  const under = send();
  await until(() => said(hosts[0]?.lines ?? [], 'MAIL') === 1);
  await transport.close();
  for (const result of [await under, await send()]) {
    assert.equal(result.recipients[0]?.result, 'deferred');
    assert.equal(result.spent, false);
  }
  assert.equal(hosts[1]?.connections(), 0);
});

test('recipients over the limit of one transaction go in further ones on the same connection', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: OFFERS }], { delivery: { maxRecipientsPerTransaction: 2 } });
  const result = await send({ recipients: recipients('a@test.test', 'b@test.test', 'c@test.test', 'd@test.test', 'e@test.test') });
  assert.deepEqual(new Set(outcomes(result)), new Set(['delivered 250 2.0.0']));
  assert.deepEqual(
    hosts[0]?.messages.map(({ to }) => to.length),
    [2, 2, 1],
  );
  assert.equal(hosts[0]?.connections(), 1);
});

test('a host that closes after each message still gets all of a long list of recipients', async (t) => {
  const { hosts, send } = await startBench(t, [{ answers: { '.': { raw: '250 2.0.0 ok\r\n', and: 'drop' } } }], {
    delivery: { maxRecipientsPerTransaction: 1, sessionsPerAttempt: 2 },
  });
  const result = await send({ recipients: recipients(...Array.from({ length: 8 }, (_, index) => `r${index}@test.test`)) });
  assert.deepEqual(new Set(outcomes(result)), new Set(['delivered 250 2.0.0']));
  assert.equal(hosts[0]?.connections(), 8);
});

test('kept connections make room when more than the total are open', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: OFFERS }], { delivery: { maxConnections: 2 } });
  await Promise.all([send(), send(), send(), send()]);
  await Promise.all([send(), send(), send(), send()]);
  assert.equal(hosts[0]?.messages.length, 8);
});

test('a dead address costs the head start of the next one, no more', async (t) => {
  const { hosts } = await startBench(t, [{}]);
  const port = hosts[0]?.port ?? 0;
  // 192.0.2.1 is nobody's: no answer, or "unreachable" at once.
  const { connection } = await connectAny(['192.0.2.1', '127.0.0.1'], { port, timeoutMs: 60_000, staggerMs: 20, clock: systemClock });
  assert.equal(connection?.address, '127.0.0.1');
  connection?.socket.destroy();
});

test('a refused address is passed over at once', async (t) => {
  const { hosts } = await startBench(t, [{}]);
  const port = hosts[0]?.port ?? 0;
  const { connection, failures } = await connectAny(['127.0.0.9', '127.0.0.1'], {
    port,
    timeoutMs: 60_000,
    staggerMs: 60_000,
    clock: systemClock,
  });
  assert.equal(connection?.address, '127.0.0.1');
  assert.deepEqual(failures, [{ address: '127.0.0.9', code: 'ECONNREFUSED' }]);
  connection?.socket.destroy();
});

test('an address that is listed twice is no second winner', async (t) => {
  const { hosts } = await startBench(t, [{}]);
  const port = hosts[0]?.port ?? 0;
  const { connection, failures } = await connectAny(['127.0.0.9', '127.0.0.9', '127.0.0.1', '127.0.0.1'], {
    port,
    timeoutMs: 60_000,
    staggerMs: 0,
    clock: systemClock,
  });
  assert.equal(connection?.address, '127.0.0.1');
  assert.ok(failures.every(({ address }) => address === '127.0.0.9'));
  connection?.socket.destroy();
});

test('what only our machine can be short of is our own fault', () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL'])
    assert.ok(isOwnFault({ code, address: '192.0.2.1' }), code);
  for (const code of ['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'])
    assert.ok(!isOwnFault({ code, address: '192.0.2.1' }), code);
  assert.ok(!isOwnFault({ code: 'EADDRNOTAVAIL', address: '2001:db8::1' }));
});

test('open connections are counted, and those that are used again', async (t) => {
  const metrics = createMetrics({ withProcess: false });
  const { send } = await startBench(t, [{ offers: OFFERS }], { metrics });
  for (let message = 0; message < 3; message++) await send({ content: SMALL });
  const { text } = await metrics.scrape();
  assert.match(text, /angarium_delivery_connections_open 1\n/);
  assert.match(text, /angarium_delivery_connections_reused_total 2\n/);
  assert.match(text, /angarium_delivery_tls_connections_total\{version="none"\} 1\n/);
  assert.match(text, /angarium_delivery_connections_opened_total\{result="clear"\} 1\n/);
});

test('a connection that comes about while the transport closes carries nothing', async (t) => {
  const { hosts, transport, send } = await startBench(t, [{ offers: OFFERS }]);
  const attempt = send();
  await transport.close();
  const result = await attempt;
  assert.deepEqual([outcomes(result), result.spent], [['deferred 0 4.3.2'], false]);
  assert.deepEqual(hosts[0]?.messages, []);
  await until(() => hosts[0]?.openConnections() === 0);
});
