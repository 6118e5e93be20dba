import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NextHopKind } from '@angarium/records';
import { configSchema, createMetrics, silentLogger, systemClock } from '@angarium/runtime';
import { startDnsFixture } from '../../../../test/fixtures/dns.ts';
import { type HostAnswer, startSmtpHost } from '../../../../test/fixtures/smtp-host.ts';
import { createSmtpTransport } from './create-smtp-transport.ts';
import { HUGE, LARGE, makeJob, outcomes, recipients, startBench } from './fixtures/bench.ts';

/* Which host takes the message when the first one does not; and waits that end. */

test('a host that cannot be connected to is passed over', async (t) => {
  const { hosts, send } = await startBench(t, [{}], { deadHosts: 2 });
  const result = await send();
  assert.deepEqual(outcomes(result), ['delivered 250 2.0.0']);
  assert.equal(result.site, 'reached');
  assert.equal(hosts[0]?.messages.length, 1);
});

for (const [name, answers] of [
  ['greets with 421', { connect: '421 4.3.2 full' }],
  ['greets with 554', { connect: '554 5.7.1 no' }],
  ['greets with 521', { connect: '521 5.3.2 no mail' }],
  ['refuses EHLO and HELO', { EHLO: '550 no', HELO: '550 no' }],
  ['drops the connection', { connect: { and: 'drop' } }],
  ['does not speak SMTP', { connect: { raw: 'SSH-2.0-x\r\n' } }],
  ['defers the sender', { MAIL: '451 4.3.0 no' }],
  ['is lost at RCPT', { RCPT: { and: 'reset' } }],
  ['is lost at DATA', { DATA: { and: 'drop' } }],
] as const) {
  test(`the next host is asked when one ${name}`, async (t) => {
    const { hosts, send } = await startBench(t, [{ answers: answers as Record<string, HostAnswer> }, {}]);
    const result = await send();
    assert.deepEqual(outcomes(result), ['delivered 250 2.0.0']);
    assert.equal(result.recipients[0]?.reply.remoteHost, 'mx2.test');
    assert.equal(hosts[1]?.messages.length, 1);
  });
}

for (const [name, answers, expected] of [
  ['defers the recipient', { RCPT: '450 4.2.1 later' }, 'deferred 450 4.2.1'],
  ['bounces the sender', { MAIL: '550 5.7.1 no' }, 'bounced 550 5.7.1'],
  ['defers the message', { '.': '451 4.3.0 later' }, 'deferred 451 4.3.0'],
  ['says 421 to RCPT', { RCPT: '421 4.3.2 bye' }, 'deferred 421 4.3.2'],
  ['is lost after the dot', { '.': { and: 'drop' } }, 'deferred 0 4.4.2'],
] as const) {
  test(`no other host is asked when one ${name}`, async (t) => {
    const { hosts, send } = await startBench(t, [{ answers: answers as Record<string, HostAnswer> }, {}]);
    assert.deepEqual(outcomes(await send()), [expected]);
    assert.equal(hosts[1]?.connections(), 0);
  });
}

test('521 of one host and silence of another is no bounce', async (t) => {
  const { send } = await startBench(t, [{ answers: { connect: '521 5.3.2 no mail' } }, { answers: { connect: { and: 'drop' } } }]);
  assert.deepEqual(outcomes(await send()), ['deferred 521 5.3.2']);
});

test('521 of both hosts is', async (t) => {
  const refusing = { answers: { connect: '521 5.3.2 no mail' } };
  const { send } = await startBench(t, [refusing, refusing]);
  assert.deepEqual(outcomes(await send()), ['bounced 521 5.3.2']);
});

test('521 of those that were asked is no bounce while others were not', async (t) => {
  const refusing = { answers: { connect: '521 5.3.2 no mail' } };
  const { hosts, send } = await startBench(t, [refusing, refusing, {}], { delivery: { sessionsPerAttempt: 2 } });
  assert.deepEqual(outcomes(await send()), ['deferred 521 5.3.2']);
  assert.equal(hosts[2]?.connections(), 0);
});

test('nobody listening defers, with the word of the network', async (t) => {
  const { hosts, send } = await startBench(t, [{}]);
  await hosts[0]?.close();
  const result = await send();
  assert.deepEqual(outcomes(result), ['deferred 0 4.4.1']);
  assert.match(result.recipients[0]?.reply.text ?? '', /mx\.test \[127\.0\.0\.1\]:\d+ .*ECONNREFUSED/);
  assert.deepEqual([result.site, result.spent, result.inDoubt], ['failed', true, false]);
});

test('recipients that one host has judged are not put before the next', async (t) => {
  const first = { answers: { RCPT: (line: string): HostAnswer => (line.includes('<a@') ? '550 5.1.1 who?' : { and: 'drop' }) } };
  const { hosts, send } = await startBench(t, [first, {}]);
  const result = await send({ recipients: recipients('a@test.test', 'b@test.test') });
  assert.deepEqual(outcomes(result), ['bounced 550 5.1.1', 'delivered 250 2.0.0']);
  assert.deepEqual(
    hosts[1]?.messages.map(({ to }) => to),
    [['b@test.test']],
  );
});

const STALL = { and: 'stall' } as const;
for (const [point, delivery, inDoubt] of [
  ['connect', { greetingTimeoutMs: 60 }, false],
  ['EHLO', { commandTimeoutMs: 60 }, false],
  ['MAIL', { commandTimeoutMs: 60 }, false],
  ['RCPT', { commandTimeoutMs: 60 }, false],
  ['DATA', { dataReplyTimeoutMs: 60 }, false],
  ['.', { finalReplyTimeoutMs: 60 }, true],
] as const) {
  for (const offers of [['PIPELINING'], []]) {
    test(`a host that is silent at ${point} ${offers.length ? '(pipelined) ' : ''}is given up in its time`, async (t) => {
      const { send } = await startBench(t, [{ offers, answers: { [point]: STALL } }], { delivery });
      const result = await send();
      assert.deepEqual(outcomes(result), ['deferred 0 4.4.2']);
      assert.equal(result.inDoubt, inDoubt);
      assert.equal(result.spent, true);
    });
  }
}

test('a reply that never ends, a piece at a time, does not stretch the wait', { timeout: 20_000 }, async (t) => {
  const answers = { MAIL: { raw: '2', and: 'repeat' } } as const;
  const { send } = await startBench(t, [{ answers }], { delivery: { commandTimeoutMs: 80 } });
  assert.deepEqual(outcomes(await send()), ['deferred 0 4.4.2']);
});

test('empty lines, one now and then, do not stretch the wait', { timeout: 20_000 }, async (t) => {
  const answers = { MAIL: { raw: '\r\n', and: 'repeat' } } as const;
  const { send } = await startBench(t, [{ answers }], { delivery: { commandTimeoutMs: 80 } });
  assert.deepEqual(outcomes(await send()), ['deferred 0 4.4.2']);
});

test('a host that stops reading in the midst of the message is given up in its time', async (t) => {
  const { send } = await startBench(t, [{ pauseInData: true }], { delivery: { dataTimeoutMs: 60 } });
  const result = await send({ content: HUGE });
  assert.deepEqual(outcomes(result), ['deferred 0 4.4.2']);
  assert.equal(result.inDoubt, false);
});

test('replies that come one octet at a time are replies', async (t) => {
  const slowly = (raw: string) => ({ raw, slowly: true });
  const { send } = await startBench(t, [
    {
      answers: {
        connect: slowly('220-hello\r\n220 there\r\n'),
        EHLO: slowly('250-host.test\r\n250-PIPELINING\r\n250 SIZE\r\n'),
        MAIL: slowly('250 2.1.0 ok\r\n'),
        '.': slowly('250-2.0.0 thank\r\n250 2.0.0 you\r\n'),
      },
    },
  ]);
  const result = await send({ content: LARGE });
  assert.deepEqual(outcomes(result), ['delivered 250 2.0.0']);
  assert.equal(result.recipients[0]?.reply.text, 'thank\nyou');
});

test('a host name that looks like a keyword offers nothing by it', async (t) => {
  const { hosts, send } = await startBench(t, [{ answers: { EHLO: '250 pipelining.dsn.test\n250 8BITMIME' } }]);
  const result = await send();
  assert.equal(result.recipients[0]?.relayed, true);
  assert.ok(hosts[0]?.segments.includes('DATA\r\n'));
});

test('a domain is looked up, its host found and the message delivered', async (t) => {
  const host = await startSmtpHost({ offers: ['PIPELINING'] });
  const zones = { 'real.test': { MX: [[10, 'alias.test']] as const }, 'alias.test': { CNAME: 'mx.test' }, 'mx.test': { A: ['127.0.0.1'] } };
  const dns = await startDnsFixture(zones);
  const transport = createSmtpTransport({
    config: configSchema.parse({ hostname: 'us.test', delivery: { smtpPort: host.port, dnsServers: [dns.server] } }),
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    metrics: createMetrics({ withProcess: false }),
    directory: { transport: async () => assert.fail('not asked') },
  });
  t.after(async () => {
    await transport.close();
    await Promise.all([host.close(), dns.close()]);
  });
  const resolution = await transport.resolve({ kind: NextHopKind.MX, name: 'real.test', account: '' });
  assert.ok(resolution.is === 'plan');
  assert.equal(resolution.plan.site, 'alias.test');
  assert.deepEqual(outcomes(await transport.attempt(makeJob(resolution.plan))), ['delivered 250 2.0.0']);
  const gone = await transport.resolve({ kind: NextHopKind.MX, name: 'gone.test', account: '' });
  assert.equal(gone.is, 'bounced');
});
