import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TransportTls } from '@angarium/rpc';
import { createMetrics } from '@angarium/runtime';
import type { HostScript } from '../../../../test/fixtures/smtp-host.ts';
import { testTls } from '../../../../test/fixtures/tls.ts';
import { outcomes, startBench } from './fixtures/bench.ts';

const folder = mkdtempSync(join(tmpdir(), 'transport-tls-'));
after(() => rmSync(folder, { recursive: true }));
const tlsAuthorityFile = join(folder, 'authority.pem');
writeFileSync(tlsAuthorityFile, testTls.cert);

const tls = testTls;
const delivered = ['delivered 250 2.0.0'];
const { OPPORTUNISTIC, REQUIRED, IMPLICIT, NEVER } = TransportTls;

test('STARTTLS is used where it is offered, whoever signed the certificate', async (t) => {
  const metrics = createMetrics({ withProcess: false });
  const { hosts, send } = await startBench(t, [{ tls, offers: ['PIPELINING'] }], { metrics });
  assert.deepEqual(outcomes(await send()), delivered);
  assert.match((await metrics.scrape()).text, /angarium_delivery_tls_connections_total\{version="TLSv1.3"\} 1\n/);
  assert.deepEqual(
    hosts[0]?.messages.map((message) => message.tls),
    [true],
  );
  assert.equal(hosts[0]?.lines.filter((line) => line.includes('EHLO')).length, 2);
});

test('a message may be large under TLS too', async (t) => {
  const { hosts, send } = await startBench(t, [{ tls }]);
  const content = Buffer.from(`Subject: x\r\n\r\n${'.dotted line of a large message\r\n'.repeat(50_000)}`);
  assert.deepEqual(outcomes(await send({ content })), delivered);
  assert.equal(hosts[0]?.messages[0]?.content, content.toString());
});

const BROKEN: readonly (readonly [string, HostScript])[] = [
  ['refuses STARTTLS', { offers: ['STARTTLS'], answers: { STARTTLS: '454 4.7.0 not now' } }],
  ['drops the handshake', { offers: ['STARTTLS'], answers: { STARTTLS: { raw: '220 go\r\n', and: 'drop' } } }],
  ['says 421 to STARTTLS', { offers: ['STARTTLS'], answers: { STARTTLS: (_, count) => (count === 0 ? '421 4.7.0 no' : '454 no') } }],
  ['speaks an old TLS', { tls: { ...tls, maxVersion: 'TLSv1.1' } }],
  ['stalls the handshake', { offers: ['STARTTLS'], answers: { STARTTLS: { raw: '220 go\r\n', and: 'stall' } } }],
];
const delivery = { tlsHandshakeTimeoutMs: 100 };

for (const [name, script] of BROKEN) {
  test(`a host that ${name} gets the message in clear where TLS is opportunistic`, async (t) => {
    // 421 ends the session: one more host shows that the message goes on.
    const { hosts, send } = await startBench(t, name.includes('421') ? [script, {}] : [script], { delivery });
    assert.deepEqual(outcomes(await send()), delivered);
    assert.deepEqual(
      hosts.flatMap((host) => host.messages).map((message) => message.tls),
      [false],
    );
  });

  test(`a host that ${name} gets nothing where TLS is required`, async (t) => {
    const { hosts, send } = await startBench(t, [script], { delivery: { ...delivery, tls: 'required' } });
    const result = await send();
    assert.equal(result.recipients[0]?.result, 'deferred');
    assert.ok(!hosts[0]?.lines.some((line) => line.includes('MAIL')));
  });
}

test('a host that does not offer STARTTLS gets nothing where TLS is required', async (t) => {
  const { hosts, send } = await startBench(t, [{ answers: { STARTTLS: '502 5.5.1 what?' } }], { delivery: { tls: 'required' } });
  assert.deepEqual(outcomes(await send()), ['deferred 502 5.5.1']);
  assert.ok(!hosts[0]?.lines.some((line) => line.includes('MAIL')));
});

test('STARTTLS is not used where TLS is never wanted', async (t) => {
  const { hosts, send } = await startBench(t, [{ tls }], { delivery: { tls: 'never' } });
  assert.deepEqual(outcomes(await send()), delivered);
  assert.deepEqual(
    hosts[0]?.messages.map((message) => message.tls),
    [false],
  );
});

test('what a host says in clear before the handshake counts for nothing after it', async (t) => {
  const { hosts, send } = await startBench(t, [
    { tls, offers: ['PIPELINING'], answers: { STARTTLS: { raw: '220 go\r\n250 forged\r\n250-for' } } },
  ]);
  assert.deepEqual(outcomes(await send()), delivered);
  assert.deepEqual(
    hosts[0]?.messages.map((message) => message.tls),
    [true],
  );
});

interface SmarthostRow {
  readonly name: string;
  readonly tls: number;
  readonly host: HostScript;
  readonly trusted?: boolean;
  readonly hostName?: string;
  readonly expect: 'tls' | 'clear' | 'deferred';
}
const SMARTHOSTS: readonly SmarthostRow[] = [
  { name: 'required, certificate good', tls: REQUIRED, host: { tls }, trusted: true, expect: 'tls' },
  { name: 'required, certificate of nobody we trust', tls: REQUIRED, host: { tls }, expect: 'deferred' },
  { name: 'required, certificate of another host', tls: REQUIRED, host: { tls }, trusted: true, hostName: 'mx2.test', expect: 'deferred' },
  { name: 'required, not offered', tls: REQUIRED, host: { answers: { STARTTLS: '502 5.5.1 what?' } }, trusted: true, expect: 'deferred' },
  { name: 'implicit, certificate good', tls: IMPLICIT, host: { tls, implicit: true }, trusted: true, expect: 'tls' },
  { name: 'implicit, certificate of nobody we trust', tls: IMPLICIT, host: { tls, implicit: true }, expect: 'deferred' },
  { name: 'implicit, host speaks in clear', tls: IMPLICIT, host: {}, trusted: true, expect: 'deferred' },
  { name: 'opportunistic, offered', tls: OPPORTUNISTIC, host: { tls }, expect: 'tls' },
  { name: 'opportunistic, not offered', tls: OPPORTUNISTIC, host: {}, expect: 'clear' },
  { name: 'never, offered', tls: NEVER, host: { tls }, expect: 'clear' },
];

for (const row of SMARTHOSTS) {
  test(`smarthost with TLS ${row.name}: ${row.expect}`, async (t) => {
    const second = row.hostName ? [{ ...row.host }] : [];
    const { hosts, send } = await startBench(t, [row.host, ...second], {
      delivery: { ...(row.trusted && { tlsAuthorityFile }) },
      smarthost: { tls: row.tls as 1, ...(row.hostName && { host: row.hostName }) },
    });
    const result = await send();
    const messages = hosts.flatMap((host) => host.messages);
    assert.equal(result.recipients[0]?.result, row.expect === 'deferred' ? 'deferred' : 'delivered', result.recipients[0]?.reply.text);
    assert.deepEqual(
      messages.map((message) => message.tls),
      row.expect === 'deferred' ? [] : [row.expect === 'tls'],
    );
  });
}

const plain = Buffer.from('\0user\0secret').toString('base64');
const AUTH = (mechanisms: string): HostScript => ({
  offers: ['PIPELINING', `AUTH ${mechanisms}`],
  answers: {
    AUTH: (line: string, count: number) => {
      if (line === `AUTH PLAIN ${plain}`) return '235 2.7.0 welcome';
      if (line === 'AUTH LOGIN') return '334 VXNlcm5hbWU6';
      if (line === Buffer.from('user').toString('base64') && count === 1) return '334 UGFzc3dvcmQ6';
      return line === Buffer.from('secret').toString('base64') && count === 2 ? '235 2.7.0 welcome' : '535 5.7.8 wrong';
    },
  },
});

for (const mechanisms of ['PLAIN LOGIN', 'LOGIN', 'XOAUTH2 LOGIN PLAIN']) {
  test(`a smarthost with a login is logged in to under TLS, once per connection (${mechanisms})`, async (t) => {
    const smarthost = { tls: REQUIRED, login: 'user', password: 'secret' };
    const { hosts, send } = await startBench(t, [{ tls, ...AUTH(mechanisms) }], { delivery: { tlsAuthorityFile }, smarthost });
    assert.deepEqual(outcomes(await send()), delivered);
    assert.deepEqual(outcomes(await send()), delivered);
    assert.equal(hosts[0]?.lines.filter((line) => / AUTH /.test(line)).length, 1);
    assert.equal(hosts[0]?.messages.length, 2);
  });
}

test('where TLS is never wanted the login goes in clear, since that was asked for', async (t) => {
  const { send } = await startBench(t, [AUTH('PLAIN')], { smarthost: { tls: NEVER, login: 'user', password: 'secret' } });
  assert.deepEqual(outcomes(await send()), delivered);
});

for (const [name, script] of [
  ['no TLS', AUTH('PLAIN')],
  ['a TLS that fails', { ...AUTH('PLAIN'), offers: ['STARTTLS', 'AUTH PLAIN'], answers: { STARTTLS: { raw: '220 go\r\n', and: 'drop' } } }],
  ['a TLS that is refused', { ...AUTH('PLAIN'), offers: ['STARTTLS', 'AUTH PLAIN'], answers: { STARTTLS: '454 4.7.0 no' } }],
] as readonly (readonly [string, HostScript])[]) {
  test(`the login is not sent in clear to a smarthost with ${name}; no attempt is spent`, async (t) => {
    const { hosts, send } = await startBench(t, [script], { smarthost: { tls: OPPORTUNISTIC, login: 'user', password: 'secret' } });
    const result = await send();
    assert.deepEqual(outcomes(result), ['deferred 0 4.7.8']);
    assert.equal(result.spent, false);
    assert.ok(!hosts[0]?.lines.some((line) => line.includes('AUTH')));
  });
}

for (const [name, login, script] of [
  ['a wrong password', 'mistaken', AUTH('PLAIN')],
  ['no AUTH', 'secret', { offers: [] }],
] as readonly (readonly [string, string, HostScript])[]) {
  test(`${name} is our own fault: deferred, no attempt spent, and said without the password`, async (t) => {
    const { send } = await startBench(t, [{ tls, ...script }], {
      delivery: { tlsAuthorityFile },
      smarthost: { tls: REQUIRED, login: 'user', password: login },
    });
    const result = await send();
    assert.deepEqual(outcomes(result), ['deferred 0 4.7.8']);
    assert.deepEqual([result.spent, result.site], [false, 'failed']);
    assert.doesNotMatch(result.recipients[0]?.reply.text ?? '', /mistaken|secret|AHVzZXI/);
  });
}
