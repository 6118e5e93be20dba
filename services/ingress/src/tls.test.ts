import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { connect as connectTls, type SecureVersion, TLSSocket } from 'node:tls';
import { openMx, openSubmission, PLAIN, RawClient, sendMessage } from './testing/client.ts';
import { contentOf, PAIRS, startIngress } from './testing/ingress.ts';

test('whatever was sent in clear behind STARTTLS is dropped, half lines included', async (t) => {
  const server = await startIngress(t);
  for (const injected of ['MAIL FROM:<evil@x>\r\nRCPT TO:<bob@here.example>\r\n', 'RSET\r\nEHLO evil\r\n', 'EHLO ev', 'NOOP\r', '\r\n']) {
    for (const mode of ['together', 'apart'] as const) {
      const client = await openMx(server.port('mx'));
      client.send(mode === 'together' ? `STARTTLS\r\n${injected}` : 'STARTTLS\r\n');
      assert.match(await client.line(), /^220 /);
      const before = client.received.length;
      await client.startTls();
      assert.equal(client.received.length, before);
      assert.equal(await client.ask('MAIL FROM:<a@b>'), '503 5.5.1 Send HELO or EHLO first', injected);
      assert.equal(await client.ask('NOOP'), '250 2.0.0 OK');
      client.destroy();
    }
  }
});

test('what was known of the client before the handshake is forgotten', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  client.send('MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nSTARTTLS\r\n');
  await client.lines(3);
  await client.startTls();
  assert.equal(await client.ask('DATA'), '503 5.5.1 Send MAIL first');
  assert.equal(await client.ask('RCPT TO:<bob@here.example>'), '503 5.5.1 Send MAIL first');
  assert.equal(await client.ask('MAIL FROM:<a@b>'), '503 5.5.1 Send HELO or EHLO first');
  await client.ask('EHLO again');
  assert.match(await sendMessage(client, { content: 'X: y' }), /^250 /);
  assert.match(
    contentOf((await server.accepted())[0]),
    /^Received: from again \(.*\r\n\tby mx\.test with ESMTPS\r\n\t\(TLSv1\.3 \w+\)\r\n/,
  );
  assert.equal(await server.metric('angarium_ingress_tls_sessions_total{listener="mx",version="TLSv1.3"}'), 1);
  assert.equal(await server.metric('angarium_ingress_messages_total{listener="mx",tls="yes"}'), 1);
  client.destroy();
});

test('clear text instead of a handshake ends the connection without an answer', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  await client.ask('STARTTLS');
  const before = client.received.length;
  client.send('EHLO x\r\nMAIL FROM:<a@b>\r\n');
  await client.closed();
  assert.doesNotMatch(client.received.subarray(before).toString('latin1'), /\d{3} /);
  const implicit = await RawClient.open(server.port('submissions'));
  implicit.send('EHLO x\r\n');
  await implicit.closed();
  assert.doesNotMatch(implicit.received.toString('latin1'), /\d{3} /);
  while ((await server.metric('angarium_ingress_connections')) > 0) await new Promise((resolve) => setImmediate(resolve));
});

function certificateOf(client: RawClient): X509Certificate {
  assert.ok(client.socket instanceof TLSSocket);
  return new X509Certificate(client.socket.getPeerCertificate().raw);
}

test('a changed pair is used by new sessions, and the running ones go on', async (t) => {
  const server = await startIngress(t);
  const old = await openSubmission(server.port('submissions'));
  const early = await openMx(server.port('mx'));
  server.renewCertificate();
  const fresh = await openSubmission(server.port('submissions'));
  await early.ask('STARTTLS');
  await early.startTls();
  const renewed = new X509Certificate(PAIRS.renewed.cert).fingerprint256;
  assert.deepEqual([certificateOf(fresh).fingerprint256, certificateOf(early).fingerprint256], [renewed, renewed]);
  assert.equal(certificateOf(old).fingerprint256, new X509Certificate(PAIRS.first.cert).fingerprint256);
  assert.equal(await old.ask('NOOP'), '250 2.0.0 OK');
  for (const client of [old, early, fresh]) client.destroy();
});

test('TLS 1.2 is taken, 1.1 is not', async (t) => {
  const server = await startIngress(t);
  const handshake = (version: SecureVersion) =>
    new Promise<string>((resolve) => {
      const options = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0', rejectUnauthorized: false };
      const socket = connectTls({ port: server.port('submissions'), host: '127.0.0.1', ...options }, () => {
        resolve(String(socket.getProtocol()));
        socket.destroy();
      });
      socket.once('error', () => resolve('refused'));
    });
  assert.deepEqual([await handshake('TLSv1.1'), await handshake('TLSv1.2')], ['refused', 'TLSv1.2']);
  assert.equal(await server.metric('angarium_ingress_tls_sessions_total{listener="submissions",version="TLSv1.2"}'), 1);
});

test('a handshake that does not end is cut off', async (t) => {
  const server = await startIngress(t, { ingress: { tlsHandshakeTimeoutMs: 50 } });
  const implicit = await RawClient.open(server.port('submissions'));
  await implicit.closed();
  const client = await openMx(server.port('mx'));
  await client.ask('STARTTLS');
  server.clock.advance(1000);
  await client.closed();
});

test('a login lasts over a refused STARTTLS and a second EHLO', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('submission'));
  await client.ask('STARTTLS');
  await client.startTls();
  await client.ask('EHLO x');
  await client.ask(`AUTH PLAIN ${PLAIN}`);
  assert.match(await client.ask('STARTTLS'), /^503 /);
  await client.ask('EHLO x');
  assert.match(await client.ask('MAIL FROM:<ann@here.example>'), /^250 /);
  client.destroy();
});
