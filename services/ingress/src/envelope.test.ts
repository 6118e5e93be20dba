import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOTIFY } from '@angarium/smtp';
import { openMx, openSubmission, sendMessage } from './testing/client.ts';
import { contentOf, startIngress } from './testing/ingress.ts';

test('MX: hosted recipients are taken, the others refused by kind', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  await client.ask('MAIL FROM:<>');
  const replies: readonly (readonly [string, string])[] = [
    ['<bob@here.example>', '250 2.1.5 Recipient ok'],
    ['<BOB@Here.Example>', '250 2.1.5 Recipient ok'],
    ['<"a b"@here.example>', '250 2.1.5 Recipient ok'],
    ['<postmaster>', '250 2.1.5 Recipient ok'],
    ['<@relay.example:ann@here.example>', '250 2.1.5 Recipient ok'],
    ['<nobody@here.example>', '550 5.1.1 No such user here'],
    ['<old@here.example>', '550 5.2.1 Mailbox disabled'],
    ['<x@there.example>', '550 5.7.1 Relaying denied'],
    ['<x@[127.0.0.1]>', '550 5.7.1 Relaying denied'],
    ['<x%there.example@here.example>', '550 5.1.1 No such user here'],
    ['<nobody>', '501 5.1.3 Bad recipient address syntax'],
    ['<>', '501 5.1.3 Bad recipient address syntax'],
    ['<b\u00fcro@here.example>', '553 5.6.7 Non-ASCII address needs SMTPUTF8'],
    ['<bob@here.example> NOTIFY=NEVER,DELAY', '501 5.5.4 Bad NOTIFY'],
    ['<bob@here.example> FOO=BAR', '555 5.5.4 Parameter not known here'],
  ];
  for (const [path, reply] of replies) assert.equal(await client.ask(`RCPT TO:${path}`), reply);
  client.destroy();
});

test('the envelope is carried on: paths as sent, RET, ENVID, NOTIFY, ORCPT', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  client.send('MAIL FROM:<"x y"@XN--Bcher-kva.example> RET=HDRS ENVID=a+2Bb BODY=8BITMIME SIZE=100\r\n');
  client.send('RCPT TO:<@r.example:Bob@Here.Example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob+2B1@old.example\r\n');
  client.send('RCPT TO:<Bob@HERE.example>\r\nRCPT TO:<postmaster> NOTIFY=NEVER\r\nDATA\r\n');
  assert.equal((await client.lines(5)).at(-1)?.slice(0, 3), '354');
  client.send('Subject: x\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n.\r\n');
  assert.match(await client.line(), /^250 /);
  const [message] = await server.accepted();
  assert.deepEqual(message?.recipients, [
    { forwardPath: 'Bob@Here.Example', notify: NOTIFY.SUCCESS | NOTIFY.DELAY, orcpt: 'rfc822;Bob+1@old.example' },
    { forwardPath: 'postmaster', notify: NOTIFY.NEVER, orcpt: '' },
  ]);
  assert.equal(message.laneTableVersion, 7);
  const { queueId, ...envelope } = message.envelope ?? { queueId: '' };
  assert.match(queueId, /^[0-9A-Z]{26}$/);
  assert.deepEqual(envelope, {
    reversePath: '"x y"@XN--Bcher-kva.example',
    envid: 'a+b',
    ret: 2,
    bodyType: 1,
    smtputf8: false,
    headerUtf8: false,
    tenant: 'mx',
    priority: 0,
    acceptedAtMs: server.clock.nowMs(),
    parentQueueId: '',
    traceparent: '',
    messageId: '<1@x>',
  });
});

test('SMTPUTF8: non-ASCII paths are taken with it', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  assert.equal(await client.ask('MAIL FROM:<\u00fc@there.example>'), '553 5.6.7 Non-ASCII address needs SMTPUTF8');
  const answer = await sendMessage(client, {
    from: '<\u00fc@there.example> SMTPUTF8',
    to: '<b\u00fcro@here.example>',
    content: 'Subject: \u00fc\r\n\r\n\u00fc',
  });
  assert.match(answer, /^250 /);
  const [message] = await server.accepted();
  const { reversePath, smtputf8, headerUtf8, bodyType } = message?.envelope ?? {};
  assert.deepEqual(
    { reversePath, smtputf8, headerUtf8, bodyType },
    { reversePath: '\u00fc@there.example', smtputf8: true, headerUtf8: true, bodyType: 2 },
  );
  assert.match(contentOf(message), /^Received: from client\.example \(\[127\.0\.0\.1\]\)\r\n\tby mx\.test with UTF8SMTP\r\n/);
});

test('recipients that come in one write are one question to the directory', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  const recipients = Array.from({ length: 40 }, (_, at) => `u${at}@here.example`);
  client.send(`MAIL FROM:<a@b>\r\n${recipients.map((to) => `RCPT TO:<${to}>\r\n`).join('')}`);
  assert.equal((await client.lines(41)).filter((line) => line.startsWith('250 ')).length, 41);
  assert.deepEqual(server.directory.asked, [recipients]);
  client.destroy();
});

test('a directory that breaks is answered 451 like one that is down, at RCPT and at From, and the transaction is over then', async (t) => {
  const server = await startIngress(t);
  const client = await openSubmission(server.port('submissions'));
  client.send('MAIL FROM:<ann@here.example>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n');
  await client.lines(3);
  const broken = async () => Promise.reject(new TypeError('bug'));
  Object.assign(server.directory, { owns: broken, check: broken });
  client.send('From: ann@here.example\r\n\r\n.\r\n');
  assert.equal(await client.line(), '451 4.3.0 Local error, try again later');
  assert.match(await client.ask('MAIL FROM:<>'), /^250 /);
  assert.equal(await client.ask('RCPT TO:<u9@here.example>'), '451 4.3.0 Local error, try again later');
  client.destroy();
});

test('an answer of the directory is kept for recipientCacheMs, a failure is not', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  await client.ask('MAIL FROM:<a@b>');
  server.directory.isDown = true;
  assert.equal(await client.ask('RCPT TO:<u1@here.example>'), '451 4.3.0 Address cannot be checked now, try again later');
  server.directory.isDown = false;
  for (const path of ['u1', 'who', 'who']) await client.ask(`RCPT TO:<${path}@here.example>`);
  assert.equal(server.directory.asked.length, 3);
  server.clock.advance(1999);
  await client.ask('RCPT TO:<who@here.example>');
  assert.equal(server.directory.asked.length, 3);
  server.clock.advance(1);
  await client.ask('RCPT TO:<who@here.example>');
  assert.equal(server.directory.asked.length, 4);
  client.destroy();
});

test('relay networks may relay at the MX listener without login, and are the tenant', async (t) => {
  const server = await startIngress(t, { ingress: { relayNetworks: ['10.0.0.0/8', '127.0.0.0/30'] } });
  const client = await openMx(server.port('mx'));
  assert.match(await sendMessage(client, { to: '<x@there.example>', content: 'Subject: x\r\n\r\nhello' }), /^250 /);
  assert.equal((await server.accepted())[0]?.envelope?.tenant, 'relay:127.0.0.0/30');
  await client.ask('MAIL FROM:<a@b>');
  assert.equal(await client.ask('RCPT TO:<nobody@here.example>'), '550 5.1.1 No such user here');
  client.destroy();
  const other = await startIngress(t, { ingress: { relayNetworks: ['10.0.0.0/8', '::/1'] } });
  const stranger = await openMx(other.port('mx'));
  assert.match(await sendMessage(stranger, { to: '<x@there.example>', content: 'x' }), /^550 5\.7\.1 /);
  stranger.destroy();
});

test('a relay network gets no relaying without login at the submission listener', async (t) => {
  const server = await startIngress(t, { ingress: { relayNetworks: ['127.0.0.0/8'] } });
  const client = await openMx(server.port('submission'));
  assert.equal(await client.ask('MAIL FROM:<a@b>'), '530 5.7.0 Authentication required');
  client.destroy();
});

test('one recipient more than maxRecipients is refused, a repeated one is not', async (t) => {
  const server = await startIngress(t, { ingress: { maxRecipients: 100 } });
  const client = await openMx(server.port('mx'));
  client.send(
    `MAIL FROM:<a@b>\r\n${Array.from({ length: 101 }, (_, at) => `RCPT TO:<u${at}@here.example>\r\n`).join('')}RCPT TO:<u0@here.example>\r\n`,
  );
  const replies = await client.lines(103);
  assert.equal(replies.filter((reply) => reply.startsWith('250 ')).length, 102);
  assert.equal(replies[101], '452 4.5.3 Too many recipients');
  client.destroy();
});

test('recipients are refused before they would not fit into one record', async (t) => {
  const server = await startIngress(t, { ingress: { maxRecipients: 10_000 } });
  const client = await openMx(server.port('mx'));
  const orcpt = `rfc822;${'a'.repeat(490)}`;
  await client.ask('MAIL FROM:<a@b>');
  const count = 900;
  const lines = Array.from({ length: count }, (_, at) => `RCPT TO:<u${at}@here.example> ORCPT=${orcpt}\r\n`);
  client.send(lines.join(''));
  const taken = (await client.lines(count)).filter((reply) => reply.startsWith('250 ')).length;
  assert.ok(taken > 750 && taken < 800, `${taken}`);
  client.send(`DATA\r\n${'x'.repeat(32_000)}\r\n.\r\n`);
  assert.match((await client.lines(2))[1] ?? '', /^250 /);
  assert.equal((await server.accepted())[0]?.recipients.length, taken);
  client.destroy();
});

test('10,000 pipelined recipients get a reply each and do not hold the loop', async (t) => {
  const server = await startIngress(t, { ingress: { maxErrors: 20_000 } });
  const client = await openMx(server.port('mx'));
  client.send(`MAIL FROM:<a@b>\r\n${Array.from({ length: 10_000 }, (_, at) => `RCPT TO:<u${at}@here.example>\r\n`).join('')}NOOP\r\n`);
  const replies = await client.lines(10_002);
  assert.equal(replies.filter((reply) => reply === '250 2.1.5 Recipient ok').length, 1000);
  assert.equal(replies.filter((reply) => reply === '452 4.5.3 Too many recipients').length, 9000);
  client.destroy();
});

test('submission: recipients of other hosts are taken', async (t) => {
  const server = await startIngress(t);
  const client = await openSubmission(server.port('submissions'));
  await client.ask('MAIL FROM:<ann@here.example>');
  assert.equal(await client.ask('RCPT TO:<x@there.example>'), '250 2.1.5 Recipient ok');
  assert.equal(await client.ask('RCPT TO:<nobody@here.example>'), '550 5.1.1 No such user here');
  client.destroy();
});
