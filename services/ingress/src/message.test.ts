import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyType } from '@angarium/records';
import { openMx, openSubmission, RawClient, sendMessage } from './testing/client.ts';
import { contentOf, startIngress, type TestIngress } from './testing/ingress.ts';

/** What follows the Received field. */
const rest = (content: string) => content.slice(content.search(/\r\n(?![\t])/) + 2);

test('Received names client, protocol, queue id and a single recipient', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  await sendMessage(client, { content: 'Subject: x\r\n\r\nhello' });
  const [message] = await server.accepted();
  assert.equal(
    contentOf(message),
    `Received: from client.example ([127.0.0.1])\r\n\tby mx.test with ESMTP\r\n\tid ${message?.envelope?.queueId}\r\n` +
      '\tfor <bob@here.example>;\r\n\tFri, 02 Jan 2026 03:04:05 +0000\r\nSubject: x\r\n\r\nhello\r\n',
  );
  assert.equal(message?.content?.octets, contentOf(message).length);
  client.destroy();
});

test('Received names no recipient where there are two', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  client.send('MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nRCPT TO:<ann@here.example>\r\nDATA\r\nX: y\r\n\r\n.\r\n');
  assert.match((await client.lines(5))[4] ?? '', /^250 /);
  assert.doesNotMatch(contentOf((await server.accepted())[0]), /for </);
  client.destroy();
});

async function protocolOf(server: TestIngress, client: RawClient, hello: string, mail = ''): Promise<string | undefined> {
  await client.ask(hello);
  const before = new Set((await server.accepted()).map(({ envelope }) => envelope?.queueId));
  await sendMessage(client, { from: `<>${mail}`, content: 'From: ann@here.example\r\n\r\n' });
  const message = (await server.accepted()).find(({ envelope }) => !before.has(envelope?.queueId));
  return /with (\S+)/.exec(contentOf(message))?.[1];
}

test('the with-protocol tells HELO, EHLO, TLS, login and SMTPUTF8', async (t) => {
  const server = await startIngress(t);
  const clear = await RawClient.open(server.port('mx'));
  await clear.reply();
  assert.equal(await protocolOf(server, clear, 'HELO x'), 'SMTP');
  assert.equal(await protocolOf(server, clear, 'EHLO x'), 'ESMTP');
  assert.equal(await protocolOf(server, clear, 'EHLO x', ' SMTPUTF8'), 'UTF8SMTP');
  await clear.ask('STARTTLS');
  await clear.startTls();
  assert.equal(await protocolOf(server, clear, 'EHLO x'), 'ESMTPS');
  assert.equal(await protocolOf(server, clear, 'EHLO x', ' SMTPUTF8'), 'UTF8SMTPS');
  const account = await openSubmission(server.port('submissions'));
  assert.equal(await protocolOf(server, account, 'EHLO x'), 'ESMTPSA');
  assert.equal(await protocolOf(server, account, 'EHLO x', ' SMTPUTF8'), 'UTF8SMTPSA');
  clear.destroy();
  account.destroy();
});

test('dots are unstuffed, and a message whose first line is a dotted one is whole, however it is cut', async (t) => {
  const server = await startIngress(t);
  const wire = '..first: x\r\n\r\n..\r\n...\r\n. .\r\nend\r\n.\r\nQUIT\r\n';
  for (const mode of ['whole', 'octets'] as const) {
    const client = await openMx(server.port('mx'));
    const start = 'MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n';
    if (mode === 'whole') client.send(start + wire);
    else await client.dribble(start + wire);
    const replies = await client.lines(5);
    assert.match(replies[3] ?? '', /^250 2\.0\.0 /);
    assert.equal(replies[4], '221 2.0.0 Bye');
  }
  const messages = await server.accepted();
  assert.equal(messages.length, 2);
  for (const message of messages) assert.equal(rest(contentOf(message)), '.first: x\r\n\r\n.\r\n..\r\n .\r\nend\r\n');
});

test('no line end but CRLF: a message with a bare CR or LF is refused after CRLF.CRLF, and nothing in it is a command', async (t) => {
  const server = await startIngress(t, { ingress: { maxErrors: 100 } });
  const inner = 'MAIL FROM:<evil@x>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\nsmuggled';
  for (const end of ['\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r', '\r.\r\n', '\r\n.\r', '\r\r\n.\r\r\n', '\r\n.\r\r\n', '\n\n.\r\n']) {
    const client = await openMx(server.port('mx'));
    client.send(`MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\nSubject: x\r\n\r\nhello${end}${inner}\r\n.\r\nNOOP\r\n`);
    const replies = await client.lines(5);
    assert.deepEqual(replies.slice(3), ['554 5.6.0 Message holds a CR or LF that is not CRLF', '250 2.0.0 OK'], JSON.stringify(end));
    client.destroy();
  }
  assert.equal((await server.accepted()).length, 0);
});

test('SIZE is enforced at MAIL and while the message comes; of a longer one nothing is kept', async (t) => {
  const server = await startIngress(t, { ingress: { maxMessageOctets: 100_000 } });
  const client = await openMx(server.port('mx'));
  assert.equal(await client.ask('MAIL FROM:<a@b> SIZE=100001'), '552 5.3.4 Message exceeds the maximum size');
  assert.match(await sendMessage(client, { from: '<a@b> SIZE=100000', content: `X: y\r\n\r\n${'x'.repeat(99_990)}` }), /^250 /);
  client.send('MAIL FROM:<a@b> SIZE=1\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n');
  await client.lines(3);
  client.send(`X: y\r\n\r\n${'x'.repeat(99_991)}\r\n`);
  const unacknowledged = 'angarium_ingress_unacknowledged_octets';
  for (let at = 0; at < 50; at++) client.send('y'.repeat(100_000));
  client.send('\r\n.\r\nNOOP\r\n');
  assert.deepEqual(await client.lines(2), ['552 5.3.4 Message exceeds the maximum size', '250 2.0.0 OK']);
  assert.equal(await server.metric(unacknowledged), 0);
  assert.equal((await server.accepted()).length, 1);
  client.destroy();
});

test('a body of inlineMaxOctets is in the record, a larger one in the blob store first', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  await sendMessage(client, { content: 'X: y\r\n\r\n' });
  const fields = contentOf((await server.accepted())[0]).length - 10;
  for (const octets of [32 * 1024 - fields, 32 * 1024 - fields + 1]) await sendMessage(client, { content: `X: ${'y'.repeat(octets - 5)}` });
  const messages = await server.accepted();
  const places = messages.map(({ content }) => `${content?.place?.$case} ${content?.octets}`).sort();
  assert.deepEqual(places.slice(0, 1), [`blobKey ${32 * 1024 + 1}`]);
  assert.ok(places.includes(`inline ${32 * 1024}`));
  const large = messages.find(({ content }) => content?.place?.$case === 'blobKey');
  assert.equal(large?.content?.place?.value, `shared/${large?.envelope?.queueId}`);
  assert.equal(large?.content?.laneBlob, false);
  assert.equal((await server.blobs.get(String(large?.content?.place?.value)))?.length, 32 * 1024 + 1);
  client.destroy();
});

test('more than 100 Received fields are a mail loop', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  const hops = (count: number) => `${'Received: from a by b; c\r\n'.repeat(count)}\r\nhello`;
  assert.match(await sendMessage(client, { content: hops(100) }), /^250 /);
  assert.equal(await sendMessage(client, { content: hops(101) }), '554 5.4.6 Too many Received fields: mail loop');
  client.destroy();
});

test('a header section that cannot be read to its end is refused', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  assert.equal(await sendMessage(client, { content: 'X: y\r\n'.repeat(20_000) }), '552 5.3.4 Header section too large');
  client.destroy();
});

test('8-bit content counts as 8BITMIME whatever BODY says, 7-bit content as 7-bit', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  for (const [from, text, type] of [
    ['<a@b>', 'h\u00fc', BodyType.EIGHT_BIT_MIME],
    ['<a@b> BODY=7BIT', 'h\u00fc', BodyType.EIGHT_BIT_MIME],
    ['<a@b> BODY=8BITMIME', 'hu', BodyType.SEVEN_BIT],
  ] as const) {
    const answer = await sendMessage(client, { from, content: `X: y\r\n\r\n${text}` });
    const message = (await server.accepted()).find(({ envelope }) => answer.endsWith(envelope?.queueId ?? '?'));
    assert.equal(message?.envelope?.bodyType, type, from);
    assert.equal(message?.envelope?.headerUtf8, false);
  }
  client.destroy();
});

test('text without a header section gets a blank line in front; nothing in it becomes a field', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  for (const content of ['hello world\r\nFrom: boss@x', ' folded', '', '\0\x01']) await sendMessage(client, { content });
  const bodies = (await server.accepted()).map((message) => rest(contentOf(message))).sort();
  assert.deepEqual(bodies, ['\r\n', '\r\n\0\x01\r\n', '\r\n folded\r\n', '\r\nhello world\r\nFrom: boss@x\r\n']);
  client.destroy();
});

test('an empty message is a message', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  client.send('MAIL FROM:<>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n.\r\n');
  assert.match((await client.lines(4))[3] ?? '', /^250 /);
  client.destroy();
});

test('garbage after the message is refused as commands, and the message stands', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  client.send('MAIL FROM:<>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\nX: y\r\n.\r\n.\r\nhello: there\r\n.\r\nRSET\r\n');
  const replies = (await client.lines(8)).slice(3);
  assert.match(replies[0] ?? '', /^250 2\.0\.0 Queued/);
  assert.deepEqual(replies.slice(1), [...Array(3).fill('500 5.5.2 Command not known'), '250 2.0.0 Flushed']);
  assert.equal((await server.accepted()).length, 1);
  client.destroy();
});

test('100 messages pipelined in one write are taken in their order', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  const one = (at: number) => `MAIL FROM:<a${at}@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\nX: ${at}\r\n\r\n.\r\n`;
  client.send(Array.from({ length: 100 }, (_, at) => one(at)).join(''));
  const replies = await client.lines(400);
  const ids = replies.filter((reply) => reply.startsWith('250 2.0.0 Queued')).map((reply) => reply.slice(-26));
  assert.equal(ids.length, 100);
  const byId = new Map((await server.accepted()).map(({ envelope }) => [envelope?.queueId, envelope?.reversePath]));
  assert.deepEqual(
    ids.map((id) => byId.get(id)),
    Array.from({ length: 100 }, (_, at) => `a${at}@b`),
  );
  client.destroy();
});
