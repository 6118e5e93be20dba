import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMx, openSubmission, PLAIN, RawClient } from './testing/client.ts';
import { startIngress } from './testing/ingress.ts';

const offers = (lines: readonly string[]) => lines.slice(1).map((line) => line.slice(4));
const COMMON = ['PIPELINING', 'SIZE 52428800', '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'DSN'];

async function hello(client: RawClient): Promise<string[]> {
  client.send('EHLO client.example\r\n');
  const { lines } = await client.reply();
  return offers(lines);
}

test('EHLO offers what the listener and the state of TLS allow, and nothing else', async (t) => {
  const server = await startIngress(t);
  for (const listener of ['mx', 'submission'] as const) {
    const client = await RawClient.open(server.port(listener));
    assert.equal(await client.line(), '220 mx.test ESMTP');
    assert.deepEqual(await hello(client), [...COMMON, 'STARTTLS'], listener);
    assert.match(await client.ask('STARTTLS'), /^220 /);
    await client.startTls();
    assert.deepEqual(await hello(client), listener === 'mx' ? COMMON : [...COMMON, 'AUTH PLAIN LOGIN'], listener);
    assert.equal(await client.ask('STARTTLS'), '503 5.5.1 Error: TLS already active');
    client.destroy();
  }
  const secure = await RawClient.openTls(server.port('submissions'));
  assert.equal(await secure.line(), '220 mx.test ESMTP');
  assert.deepEqual(await hello(secure), [...COMMON, 'AUTH PLAIN LOGIN']);
  await secure.ask(`AUTH PLAIN ${PLAIN}`);
  assert.deepEqual(await hello(secure), COMMON);
  secure.destroy();
});

test('what is not base64 ends an exchange with 501 5.5.2, and nobody is asked', async (t) => {
  const server = await startIngress(t);
  const client = await RawClient.openTls(server.port('submissions'));
  await client.line();
  await hello(client);
  for (const response of [PLAIN.slice(0, -1), `${PLAIN} x`, `!${PLAIN}`, 'AGFubgBzZWNyZXR', 'AA=A'])
    assert.equal(await client.ask(`AUTH PLAIN ${response}`), '501 5.5.2 Not base64', response);
  for (const start of ['AUTH PLAIN', 'AUTH LOGIN']) {
    assert.match(await client.ask(start), /^334 /);
    assert.equal(await client.ask('not base64'), '501 5.5.2 Not base64');
  }
  assert.match(await client.ask('AUTH PLAIN'), /^334 /);
  assert.match(await client.ask(PLAIN), /^235 /);
  client.destroy();
});

test('the greeting comes first, also to a client that did not wait for it', async (t) => {
  const server = await startIngress(t);
  const client = await RawClient.open(server.port('mx'));
  client.send('EHLO client.example\r\nQUIT\r\n');
  assert.deepEqual(await client.lines(3), ['220 mx.test ESMTP', '250 STARTTLS', '221 2.0.0 Bye']);
  client.destroy();
});

/** Commands of one session at the MX listener and the last line of each reply. */
const DIALOG: readonly (readonly [string, string])[] = [
  ['MAIL FROM:<a@b>', '503 5.5.1 Send HELO or EHLO first'],
  ['RCPT TO:<a@b>', '503 5.5.1 Send MAIL first'],
  ['DATA', '503 5.5.1 Send MAIL first'],
  ['EHLO', '501 Syntax: EHLO hostname'],
  ['HELO a b', '501 Syntax: HELO hostname'],
  ['helo client.example', '250 mx.test'],
  ['EHLO [127.0.0.1]', '250 STARTTLS'],
  ['NOOP', '250 2.0.0 OK'],
  ['NOOP with words', '250 2.0.0 OK'],
  ['HELP', '214 2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP STARTTLS AUTH; see RFC 5321'],
  ['HELP MAIL', '214 2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP STARTTLS AUTH; see RFC 5321'],
  ['VRFY bob', '252 2.5.0 Cannot verify the user, but will take mail for it'],
  ['VRFY', '501 5.5.4 Parameter missing'],
  ['EXPN staff', '502 5.5.1 Command not implemented'],
  ['AUTH PLAIN', '502 5.5.1 Command not implemented'],
  ['BDAT 1', '502 5.5.1 Command not implemented'],
  ['XCLIENT ADDR=1.2.3.4', '502 5.5.1 Command not implemented'],
  ['XFORWARD ADDR=1.2.3.4', '502 5.5.1 Command not implemented'],
  ['WIZ x', '500 5.5.2 Command not known'],
  ['SHELL', '500 5.5.2 Command not known'],
  ['KILL', '500 5.5.2 Command not known'],
  ['GET / HTTP/1.1', '500 5.5.2 Command not known'],
  ['__PROTO__', '500 5.5.2 Command not known'],
  ['', '500 5.5.2 Command not known'],
  ['STARTTLS now', '501 5.5.4 Command takes no parameters'],
  ['RSET now', '501 5.5.4 Command takes no parameters'],
  ['MAIL FROM:<x@there.example> ', '250 2.1.0 Sender ok'],
  ['mail from:<x@there.example>', '503 5.5.1 MAIL was given already'],
  ['DATA', '503 5.5.1 Send RCPT first'],
  ['RCPT TO:<who@here.example>', '550 5.1.1 No such user here'],
  ['DATA', '554 5.5.1 No valid recipients'],
  ['rcpt to:<bob@here.example>', '250 2.1.5 Recipient ok'],
  ['DATA now', '501 5.5.4 Command takes no parameters'],
  ['RSET', '250 2.0.0 Flushed'],
  ['DATA', '503 5.5.1 Send MAIL first'],
  ['MAIL FROM:<x@there.example>', '250 2.1.0 Sender ok'],
  ['EHLO client.example', '250 STARTTLS'],
  ['RCPT TO:<bob@here.example>', '503 5.5.1 Send MAIL first'],
  ['QUIT', '221 2.0.0 Bye'],
];

test('every command gets the same reply one by one, pipelined in one write, and octet by octet', async (t) => {
  const server = await startIngress(t, { ingress: { maxErrors: 100 } });
  const wire = DIALOG.map(([command]) => `${command}\r\n`).join('');
  const expected = DIALOG.map(([, reply]) => reply);
  const ways: readonly ((client: RawClient) => Promise<string[]>)[] = [
    async (client) => {
      const replies: string[] = [];
      for (const [command] of DIALOG) replies.push(await client.ask(command));
      return replies;
    },
    async (client) => {
      client.send(wire);
      return client.lines(expected.length);
    },
    async (client) => {
      await client.dribble(wire);
      return client.lines(expected.length);
    },
  ];
  for (const way of ways) {
    const client = await RawClient.open(server.port('mx'));
    await client.reply();
    assert.deepEqual(await way(client), expected);
    await client.closed();
  }
});

test('only CRLF ends a command; a line with another line end is refused once, and the session goes on', async (t) => {
  const server = await startIngress(t, { ingress: { maxErrors: 100 } });
  for (const bad of ['NOOP\nNOOP\r\n', 'NOOP\rNOOP\r\n', 'NOOP\r\r\n', '\n\r\n', '\rNOOP\r\n', 'NOOP\n\r\n', 'a\n\n\nb\r\n', 'x\r \r\n']) {
    for (const mode of ['whole', 'octets'] as const) {
      const client = await RawClient.open(server.port('mx'));
      await client.reply();
      if (mode === 'whole') client.send(`${bad}RSET\r\n`);
      else await client.dribble(`${bad}RSET\r\n`);
      assert.deepEqual(await client.lines(2), ['500 5.5.2 Only CRLF ends a line', '250 2.0.0 Flushed'], JSON.stringify(bad));
      client.destroy();
    }
  }
});

test('a line of 2,048 octets is taken, a longer one is refused and discarded; AUTH lines may have 12,288', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  assert.equal(await client.ask(`NOOP ${'x'.repeat(2041)}`), '250 2.0.0 OK');
  assert.equal(await client.ask(`NOOP ${'x'.repeat(2042)}`), '500 5.5.2 Line too long');
  client.send(`NOOP ${'x'.repeat(200_000)}\r\nNOOP\r\n`);
  assert.deepEqual(await client.lines(2), ['500 5.5.2 Line too long', '250 2.0.0 OK']);
  assert.equal(await client.ask(`AUTH ${'x'.repeat(12_281)}`), '502 5.5.1 Command not implemented');
  assert.equal(await client.ask(`AUTH ${'x'.repeat(12_282)}`), '500 5.5.2 Line too long');
  client.destroy();
});

test('control octets and octets that are not UTF-8 are refused in any command', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  for (const octets of ['NOOP \0', 'NOOP \x1b[2J', 'NOOP \x7f', 'MAIL FROM:<a\xff@b>', 'EHLO a\xc2\x85b']) {
    client.send(Buffer.concat([Buffer.from(octets, 'latin1'), Buffer.from('\r\n')]));
    assert.equal(await client.line(), '500 5.5.2 Control octets or invalid UTF-8 in command', JSON.stringify(octets));
  }
  client.destroy();
});

test('a reply says nothing that the client said', async (t) => {
  const server = await startIngress(t, { ingress: { maxErrors: 100 } });
  const client = await openSubmission(server.port('submissions'));
  const before = client.received.length;
  for (const line of [
    'XYZZY',
    'EHLO xyzzy',
    'MAIL FROM:<xyzzy>',
    'MAIL FROM:<xyzzy@there.example>',
    'MAIL FROM:<a@b> XYZZY=1',
    'VRFY xyzzy',
    'AUTH XYZZY',
  ]) {
    await client.ask(line);
  }
  assert.equal(client.received.subarray(before).includes('xyzzy'), false);
  assert.equal(client.received.subarray(before).includes('XYZZY'), false);
  client.destroy();
});

test('a client that closes its side behind its last command still gets its replies', async (t) => {
  const server = await startIngress(t);
  const client = await RawClient.open(server.port('mx'));
  client.socket.end('EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\nhello\r\n.\r\nQUI');
  await client.closed();
  const text = client.received.toString('latin1');
  assert.match(text, /250 2\.0\.0 Queued as \w{26}\r\n$/);
  assert.equal((await server.accepted()).length, 1);
});

test('a connection that breaks before the final dot leaves nothing', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  client.send('MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\nhello\r\n.');
  await client.lines(3);
  client.socket.end();
  await client.closed();
  assert.equal((await server.accepted()).length, 0);
  assert.equal(await server.metric('angarium_ingress_unacknowledged_octets'), 0);
});
