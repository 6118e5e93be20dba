import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMx, openSubmission, PLAIN, RawClient, sendMessage } from './testing/client.ts';
import { contentOf, startIngress } from './testing/ingress.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const WRONG = base64('\0ann\0wrong');

async function openTls(port: number): Promise<RawClient> {
  const client = await RawClient.openTls(port);
  await client.reply();
  await client.ask('EHLO client.example');
  return client;
}

test('AUTH only under TLS, only once, not in a transaction; and nothing is taken without it', async (t) => {
  const server = await startIngress(t);
  const clear = await openMx(server.port('submission'));
  assert.equal(await clear.ask(`AUTH PLAIN ${PLAIN}`), '538 5.7.11 Encryption required: send STARTTLS first');
  assert.equal(await clear.ask('MAIL FROM:<ann@here.example>'), '530 5.7.0 Authentication required');
  clear.destroy();
  const client = await openTls(server.port('submissions'));
  assert.equal(await client.ask('AUTH'), '501 5.5.4 Parameter missing');
  assert.equal(await client.ask('AUTH CRAM-MD5'), '504 5.5.4 Error: Unrecognized authentication type');
  assert.equal(await client.ask('MAIL FROM:<>'), '530 5.7.0 Authentication required');
  assert.equal(await client.ask('RCPT TO:<bob@here.example>'), '503 5.5.1 Send MAIL first');
  assert.equal(await client.ask('STARTTLS'), '502 5.5.1 Command not implemented');
  assert.equal(await client.ask(`AUTH PLAIN ${PLAIN}`), '235 2.7.0 Authentication successful');
  assert.match(await client.ask(`AUTH PLAIN ${PLAIN}`), /^503 5\.5\.1 /);
  await client.ask('MAIL FROM:<ann@here.example>');
  assert.equal(await client.ask(`AUTH PLAIN ${PLAIN}`), '503 5.5.1 Not during a mail transaction');
  client.destroy();
});

test('PLAIN and LOGIN, with and without an initial response, cancelled, and broken', async (t) => {
  const server = await startIngress(t, { ingress: { maxErrors: 100, maxAuthFailures: 100 } });
  const exchanges: readonly (readonly [readonly string[], readonly string[]])[] = [
    [
      ['AUTH PLAIN', PLAIN],
      ['334 ', '235'],
    ],
    [
      ['auth plain', PLAIN],
      ['334 ', '235'],
    ],
    [
      ['AUTH LOGIN', base64('ann'), base64('secret')],
      ['334 VXNlcm5hbWU6', '334 UGFzc3dvcmQ6', '235'],
    ],
    [
      [`AUTH LOGIN ${base64('ann')}`, base64('secret')],
      ['334 UGFzc3dvcmQ6', '235'],
    ],
    [
      ['AUTH PLAIN', '*'],
      ['334 ', '501'],
    ],
    [
      ['AUTH LOGIN', base64('ann'), '*'],
      ['334 VXNlcm5hbWU6', '334 UGFzc3dvcmQ6', '501'],
    ],
    [
      ['AUTH PLAIN', 'QUIT', 'NOOP'],
      ['334 ', '501', '250'],
    ],
    [[`AUTH PLAIN ${base64('ann\0secret')}`], ['501']],
    [[`AUTH PLAIN ${base64('bob\0ann\0secret')}`], ['535']],
    [[`AUTH PLAIN ${base64('ann\0ann\0secret')}`], ['235']],
    [[`AUTH PLAIN ${base64('ann\0\0secret')}`], ['235']],
    [
      ['AUTH PLAIN', 'x'.repeat(12_300), 'NOOP'],
      ['334 ', '500 5.5.6', '250'],
    ],
    [
      ['AUTH PLAIN', 'a\nb', 'NOOP'],
      ['334 ', '500 5.5.2', '250'],
    ],
  ];
  for (const [lines, expected] of exchanges) {
    const client = await openTls(server.port('submissions'));
    for (const [at, line] of lines.entries())
      assert.ok((await client.ask(line)).startsWith(expected[at] ?? '?'), `${lines[0]}: ${line.slice(0, 20)}`);
    client.destroy();
  }
});

test('wrong passwords end the session, and lock the client out for the window', async (t) => {
  const server = await startIngress(t, { ingress: { maxAuthFailures: 2, authFailuresPerClient: 4 } });
  for (let at = 0; at < 2; at++) {
    const client = await openTls(server.port('submissions'));
    assert.equal(await client.ask(`AUTH PLAIN ${WRONG}`), '535 5.7.8 Authentication credentials invalid');
    assert.equal(await client.ask(`AUTH PLAIN ${WRONG}`), '421 4.7.0 Too many failed logins');
    await client.closed();
  }
  assert.equal(await server.metric('angarium_ingress_auth_failures_total'), 4);
  const client = await openTls(server.port('submissions'));
  assert.equal(await client.ask(`AUTH PLAIN ${PLAIN}`), '454 4.7.0 Too many failed logins, try again later');
  client.destroy();
  server.clock.advance(600_000);
  const later = await openTls(server.port('submissions'));
  assert.match(await later.ask(`AUTH PLAIN ${PLAIN}`), /^235 /);
  later.destroy();
});

test('a wrong password is answered after authFailureDelayMs', async (t) => {
  const server = await startIngress(t, { ingress: { authFailureDelayMs: 1000 } });
  const client = await openTls(server.port('submissions'));
  let answered = '';
  const answer = client.ask(`AUTH PLAIN ${WRONG}`).then((line) => {
    answered = line;
  });
  while (!server.lines.some(({ event }) => event === 'ingress.auth.failed')) await new Promise((resolve) => setImmediate(resolve));
  server.clock.advance(999);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(answered, '');
  server.clock.advance(1);
  await answer;
  assert.match(answered, /^535 /);
  client.destroy();
});

test('a directory that is down: 454 to AUTH, 451 to MAIL and to From', async (t) => {
  const server = await startIngress(t);
  const client = await openTls(server.port('submissions'));
  server.directory.isDown = true;
  assert.equal(await client.ask(`AUTH PLAIN ${PLAIN}`), '454 4.7.0 Temporary authentication failure');
  server.directory.isDown = false;
  await client.ask(`AUTH PLAIN ${PLAIN}`);
  server.directory.isDown = true;
  assert.match(await client.ask('MAIL FROM:<ann@here.example>'), /^451 4\.3\.0 /);
  server.directory.isDown = false;
  client.send('MAIL FROM:<ann@here.example>\r\nRCPT TO:<x@there.example>\r\nDATA\r\n');
  await client.lines(3);
  server.directory.isDown = true;
  client.send('From: ann@here.example\r\n\r\n.\r\n');
  assert.match(await client.line(), /^451 4\.3\.0 /);
  assert.equal((await server.accepted()).length, 0);
  client.destroy();
});

test('reverse-path: own addresses and <> only', async (t) => {
  const server = await startIngress(t);
  const client = await openSubmission(server.port('submissions'));
  for (const path of ['ann@here.example', 'Ann+tag@HERE.example', 'sales@here.example', '']) {
    assert.match(await client.ask(`MAIL FROM:<${path}>`), /^250 /, path);
    await client.ask('RSET');
  }
  for (const path of ['bob@here.example', 'ann@there.example']) {
    assert.equal(await client.ask(`MAIL FROM:<${path}>`), '550 5.7.1 Sender address does not belong to the account', path);
  }
  assert.match(await client.ask('MAIL FROM:<ann@here.example> AUTH=<>'), /^250 /);
  client.destroy();
});

test('From: own addresses only, whichever of them a reader may show', async (t) => {
  const server = await startIngress(t, { ingress: { maxErrors: 100 } });
  const client = await openSubmission(server.port('submissions'));
  const send = (header: string) => sendMessage(client, { from: '<>', to: '<x@there.example>', content: `${header}\r\n\r\nhello` });
  for (const header of ['From: ann@here.example', 'from: "Ann" <ann+x@here.example>, sales@here.example', 'Subject: no author']) {
    assert.match(await send(header), /^250 /, header);
  }
  const foreign = [
    'From: bob@here.example',
    'From: ann@here.example\r\nFrom: boss@there.example',
    'From: ann@here.example, boss@there.example',
  ];
  for (const header of [
    ...foreign,
    'From: "boss@there.example" <ann@here.example>',
    'From: <ann',
    `From: ${'ann@here.example,'.repeat(101)}x@y`,
  ]) {
    assert.equal(await send(header), '550 5.7.1 Address in From does not belong to the account', header.slice(0, 60));
  }
  client.destroy();
});

test('Sender: own addresses only, since readers show it beside From or in its place', async (t) => {
  const server = await startIngress(t, { ingress: { maxErrors: 100 } });
  const client = await openSubmission(server.port('submissions'));
  const send = (header: string) => sendMessage(client, { from: '<>', to: '<x@there.example>', content: `${header}\r\n\r\nhello` });
  assert.match(await send('From: ann@here.example\r\nSender: Sales <sales@here.example>'), /^250 /);
  for (const header of [
    'Sender: boss@there.example',
    'From: ann@here.example\r\nSender: ann@here.example\r\nsender : boss@there.example',
  ]) {
    assert.equal(await send(header), '550 5.7.1 Address in Sender does not belong to the account', header);
  }
  client.destroy();
});

test('Date and Message-ID are added where they are missing, on submission only', async (t) => {
  const server = await startIngress(t);
  const account = await openSubmission(server.port('submissions'));
  const mx = await openMx(server.port('mx'));
  const send = async (client: RawClient, header: string) => {
    const answer = await sendMessage(client, { from: '<>', content: `${header}\r\n\r\nhello` });
    const message = (await server.accepted()).find(({ envelope }) => answer.endsWith(envelope?.queueId ?? '?'));
    const text = contentOf(message);
    return {
      id: message?.envelope?.queueId,
      messageId: message?.envelope?.messageId,
      added: text.slice(text.search(/\r\n(?!\t)/) + 2, text.indexOf(header)),
    };
  };
  const none = await send(account, 'Subject: x');
  assert.equal(none.added, `Date: Fri, 02 Jan 2026 03:04:05 +0000\r\nMessage-ID: <${none.id}@mx.test>\r\n`);
  assert.equal(none.messageId, `<${none.id}@mx.test>`);
  const both = await send(account, 'DATE: x\r\nmessage-id: <1@x>');
  assert.deepEqual([both.added, both.messageId], ['', '<1@x>']);
  assert.deepEqual([(await send(mx, 'Subject: x')).added, (await send(mx, 'Subject: x')).messageId], ['', '']);
  account.destroy();
  mx.destroy();
});

test('messages and recipients per account and hour', async (t) => {
  const server = await startIngress(t, { ingress: { messagesPerHour: 2, recipientsPerHour: 3 } });
  const client = await openSubmission(server.port('submissions'));
  const content = 'From: ann@here.example\r\n\r\nhello';
  assert.match(await sendMessage(client, { from: '<>', content }), /^250 /);
  client.send('MAIL FROM:<>\r\nRCPT TO:<u1@here.example>\r\nRCPT TO:<u2@here.example>\r\nRCPT TO:<u3@here.example>\r\n');
  assert.equal((await client.lines(4))[3], '451 4.7.1 Hourly limit of recipients reached, try again later');
  client.send(`DATA\r\n${content}\r\n.\r\n`);
  assert.match((await client.lines(2))[1] ?? '', /^250 /);
  const other = await openSubmission(server.port('submissions'));
  assert.equal(await other.ask('MAIL FROM:<>'), '451 4.7.1 Hourly limit of messages reached, try again later');
  server.clock.advance(3_600_000);
  const next = await openSubmission(server.port('submissions'));
  assert.match(await sendMessage(next, { from: '<>', content }), /^250 /);
  for (const each of [client, other, next]) each.destroy();
});

test('parallel transactions do not pass the hourly limit together', async (t) => {
  const server = await startIngress(t, { ingress: { messagesPerHour: 1 } });
  const clients = await Promise.all([1, 2, 3].map(() => openSubmission(server.port('submissions'))));
  for (const client of clients) {
    client.send('MAIL FROM:<>\r\nRCPT TO:<x@there.example>\r\nDATA\r\n');
    await client.lines(3);
  }
  const answers = await Promise.all(clients.map((client) => client.ask('X: y\r\n\r\n.')));
  assert.deepEqual(answers.map((answer) => answer.slice(0, 9)).sort(), ['250 2.0.0', '451 4.7.1', '451 4.7.1']);
  for (const client of clients) client.destroy();
});
