import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openMx, openSubmission, RawClient } from './testing/client.ts';
import { contentOf, startIngress, type TestIngress } from './testing/ingress.ts';

const REPLIES = /^(?:(?:\d{3})[- ][\x20-\x7e]{0,506}\r\n)*$/;
const PIECES = [
  'EHLO x', 'HELO x', 'MAIL FROM:<a@b>', 'RCPT TO:<bob@here.example>', 'DATA', 'RSET', 'NOOP', 'AUTH PLAIN', 'AUTH LOGIN', '*', 'AGFubgBzZWNyZXQ=', '.', '..',
  '\r\n', '\r\n', '\r\n', '\r', '\n', '\0', '\xff', '<', '>', '"', ' ', 'SIZE=1', 'x'.repeat(3000), 'From: ann@here.example', 'Received: x', ':',
]; // biome-ignore format: a table
const octets = fc.oneof(
  fc.array(fc.constantFrom(...PIECES), { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join(''), 'latin1')),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
);

const PHASES: Readonly<Record<string, (server: TestIngress) => Promise<RawClient>>> = {
  greeting: (server) => RawClient.open(server.port('mx')),
  hello: (server) => openMx(server.port('mx')),
  transaction: async (server) => {
    const client = await openMx(server.port('mx'));
    await client.ask('MAIL FROM:<a@b>');
    return client;
  },
  data: async (server) => {
    const client = await openMx(server.port('mx'));
    client.send('MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n');
    await client.lines(3);
    return client;
  },
  login: async (server) => {
    const client = await RawClient.openTls(server.port('submissions'));
    await client.reply();
    await client.ask('EHLO x');
    await client.ask('AUTH LOGIN');
    return client;
  },
  submission: (server) => openSubmission(server.port('submissions')),
  handshake: async (server) => {
    const client = await openMx(server.port('mx'));
    await client.ask('STARTTLS');
    return client;
  },
};

for (const [phase, open] of Object.entries(PHASES)) {
  test(`random octets in phase ${phase}: replies keep their form, no fault of ours, the session or its end is orderly`, async (t) => {
    const server = await startIngress(t, { ingress: { maxAuthFailures: 100, authFailuresPerClient: 100_000 } });
    await fc.assert(
      fc.asyncProperty(octets, fc.boolean(), async (sent, isWhole) => {
        const client = await open(server);
        if (isWhole) client.send(sent);
        else for (let at = 0; at < sent.length; at += 7) client.send(sent.subarray(at, at + 7));
        client.socket.end();
        await client.closed();
        if (phase !== 'handshake') assert.match(client.received.toString('latin1'), REPLIES);
      }),
      { numRuns: 150 },
    );
    assert.deepEqual(
      server.lines.filter(({ event }) => /failed|crashed|unstored/.test(event) && event !== 'ingress.auth.failed'),
      [],
    );
    while ((await server.metric('angarium_ingress_connections')) > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await server.metric('angarium_ingress_unacknowledged_octets'), 0);
    for (const message of await server.accepted()) assert.doesNotMatch(contentOf(message), /\r(?!\n)|(?<!\r)\n/);
  });
}
