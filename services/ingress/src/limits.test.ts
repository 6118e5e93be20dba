import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import type { AppendFate } from '@angarium/log';
import { createClients } from './limits/clients.ts';
import { Unacknowledged } from './limits/unacknowledged.ts';
import { openMx, openSubmission, RawClient, sendMessage } from './testing/client.ts';
import { startIngress } from './testing/ingress.ts';

const BUSY = '421 4.3.2 Too busy, try again later';
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('caps of connections, in total and per client, count handshakes too and are given back', async (t) => {
  const server = await startIngress(t, { ingress: { maxConnections: 2 } });
  const first = await RawClient.open(server.port('mx'));
  assert.match(await first.line(), /^220 /);
  const halfOpen = await RawClient.open(server.port('submissions'));
  while ((await server.metric('angarium_ingress_connections')) < 2) await turn();
  const refused = await RawClient.open(server.port('mx'));
  assert.equal(await refused.line(), BUSY);
  await refused.closed();
  const silent = await RawClient.open(server.port('submissions'));
  await silent.closed();
  assert.equal(silent.received.length, 0);
  halfOpen.destroy();
  first.destroy();
  while ((await server.metric('angarium_ingress_connections')) > 0) await turn();
  const again = await RawClient.open(server.port('mx'));
  assert.match(await again.line(), /^220 /);
  again.destroy();
});

test('a connection that ends in a STARTTLS handshake is given back', async (t) => {
  const server = await startIngress(t, { ingress: { maxConnectionsPerClient: 1 } });
  for (let at = 0; at < 3; at++) {
    const client = await openMx(server.port('mx'));
    await client.ask('STARTTLS');
    if (at === 0) client.send('no handshake\r\n');
    else if (at === 1) client.destroy();
    else {
      await client.startTls();
      client.destroy();
    }
    while ((await server.metric('angarium_ingress_connections')) > 0) await turn();
  }
});

test('recipients of running transactions are bounded over all sessions, and each session has its share', async (t) => {
  const server = await startIngress(t, { ingress: { maxRecipientOctets: 2000, maxConnections: 20 } });
  const [greedy, modest] = [await openMx(server.port('mx')), await openMx(server.port('mx'))];
  const large = (number: number) => `RCPT TO:<u${number}@here.example> ORCPT=rfc822;${'x'.repeat(300)}`;
  const held = () => server.metric('angarium_ingress_recipient_octets');
  for (const client of [greedy, modest]) await client.ask('MAIL FROM:<a@there.example>');
  for (let number = 0; number < 5; number++) assert.match(await greedy.ask(large(number)), /^250 /);
  assert.equal(await greedy.ask(large(5)), '452 4.3.1 Insufficient system storage, try again later');
  assert.match(await modest.ask('RCPT TO:<ann@here.example>'), /^250 /);
  assert.equal(await modest.ask(large(6)), '452 4.3.1 Insufficient system storage, try again later');
  for (const command of ['RSET', 'EHLO again.example']) {
    assert.match(await greedy.ask(command), /^250 /);
    assert.ok((await held()) < 100, command);
    await greedy.ask('MAIL FROM:<a@there.example>');
    assert.match(await greedy.ask(large(7)), /^250 /);
  }
  assert.match(await modest.ask(large(8)), /^250 /);
  greedy.destroy();
  modest.destroy();
  while ((await held()) > 0) await turn();
});

test('a recipient whose client left while it was looked up holds nothing', async (t) => {
  const server = await startIngress(t);
  const { check } = server.directory;
  let isAsked = false;
  let answer = () => {};
  const judged = new Promise<void>((resolve) => {
    answer = resolve;
  });
  server.directory.check = async (request) => {
    isAsked = true;
    await judged;
    return check(request);
  };
  const client = await openMx(server.port('mx'));
  await client.ask('MAIL FROM:<a@there.example>');
  client.send('RCPT TO:<ann@here.example>\r\n');
  while (!isAsked) await turn();
  if (client.socket instanceof Socket) client.socket.resetAndDestroy();
  while ((await server.metric('angarium_ingress_connections')) > 0) await turn();
  answer();
  for (let turns = 0; turns < 10; turns++) await turn();
  assert.equal(await server.metric('angarium_ingress_recipient_octets'), 0);
});

test('connections are counted in total and per client', () => {
  const clients = createClients({ maxConnections: 3, maxConnectionsPerClient: 2 });
  const seats = ['a', 'a', 'a', 'b', 'c'].map((key) => clients.admit(key));
  assert.deepEqual(
    seats.map((seat) => seat !== undefined),
    [true, true, false, true, false],
  );
  seats[0]?.();
  seats[0]?.();
  assert.equal(clients.connections, 2);
  assert.ok(clients.admit('a'));
});

test('the error budget ends a session', async (t) => {
  const server = await startIngress(t, { ingress: { maxErrors: 3 } });
  const client = await openMx(server.port('mx'));
  client.send('X1\r\nX2\r\nX3\r\nNOOP\r\nNOOP\r\n');
  assert.deepEqual(await client.lines(4), [...Array(3).fill('500 5.5.2 Command not known'), '421 4.7.0 Too many errors']);
  await client.closed();
});

const TIMEOUT = '421 4.4.2 Timeout';

test('a client that says nothing after the greeting, or after a command, is timed out', async (t) => {
  const server = await startIngress(t);
  const silent = await RawClient.open(server.port('mx'));
  await silent.reply();
  const idle = await openMx(server.port('mx'));
  const dribbling = await openMx(server.port('mx'));
  server.clock.advance(300_000);
  dribbling.send('NO');
  await idle.ask('NOOP');
  server.clock.advance(1000);
  assert.deepEqual([await silent.line(), await dribbling.line()], [TIMEOUT, TIMEOUT]);
  for (const client of [silent, dribbling]) await client.closed();
  assert.equal(await idle.ask('NOOP'), '250 2.0.0 OK');
  idle.destroy();
});

test('a message that stops coming is timed out, and nothing of it is kept', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  client.send('MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\nX: y\r\n');
  await client.lines(3);
  server.clock.advance(180_001);
  assert.equal(await client.line(), TIMEOUT);
  await client.closed();
  while ((await server.metric('angarium_ingress_unacknowledged_octets')) > 0) await turn();
  assert.equal((await server.accepted()).length, 0);
});

test('a session has a longest time', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  for (let at = 0; at < 12; at++) {
    server.clock.advance(280_000);
    assert.equal(await client.ask('NOOP'), '250 2.0.0 OK');
  }
  server.clock.advance(280_000);
  assert.equal(await client.line(), '421 4.4.2 Session lasted too long');
});

test('a message that trickles in is cut off after maxTransactionMs', async (t) => {
  const server = await startIngress(t, { ingress: { maxTransactionMs: 400_000 } });
  const client = await openMx(server.port('mx'));
  client.send('MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n');
  await client.lines(3);
  for (let at = 0; at < 4; at++) {
    const before = await server.metric('angarium_ingress_unacknowledged_octets');
    client.send('x');
    while ((await server.metric('angarium_ingress_unacknowledged_octets')) === before) await turn();
    server.clock.advance(101_000);
  }
  assert.equal(await client.line(), TIMEOUT);
});

test('a message that is not read on for want of room is not timed out', async (t) => {
  const append = Promise.withResolvers<AppendFate>();
  const server = await startIngress(t, { ingress: { maxUnacknowledgedOctets: 1, maxMessageOctets: 100_000 }, fate: () => append.promise });
  const first = await openMx(server.port('mx'));
  const answer = sendMessage(first, { content: `X: y\r\n\r\n${'x'.repeat(90_000)}` });
  while ((await server.metric('angarium_ingress_unacknowledged_octets')) < 90_000) await turn();
  const second = await openMx(server.port('mx'));
  second.send('MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n');
  await second.lines(3);
  second.send(`X: y\r\n\r\n${'y'.repeat(20_000)}`);
  while ((await server.metric('angarium_ingress_unacknowledged_octets')) < 110_000) await turn();
  server.clock.advance(200_000);
  second.send('\r\n.\r\n');
  append.resolve('kept');
  assert.match(await answer, /^250 /);
  assert.match(await second.line(), /^250 /);
  for (const client of [first, second]) client.destroy();
});

test('a session that waits for the log is not timed out', async (t) => {
  const append = Promise.withResolvers<AppendFate>();
  const asked = Promise.withResolvers<void>();
  const fate = () => {
    asked.resolve();
    return append.promise;
  };
  const server = await startIngress(t, { fate });
  const client = await openMx(server.port('mx'));
  const answer = sendMessage(client, { content: 'X: y' });
  await asked.promise;
  server.clock.advance(3_000_000);
  append.resolve('kept');
  assert.match(await answer, /^250 /);
  client.destroy();
});

test('stop: idle sessions get 421, a running transaction is finished, new connections are refused', async (t) => {
  const server = await startIngress(t);
  assert.deepEqual(server.ingress.notReady(), []);
  const idle = await openMx(server.port('mx'));
  const busy = await openMx(server.port('mx'));
  await busy.ask('MAIL FROM:<a@b>');
  const port = server.port('mx');
  let isStopped = false;
  const stopped = server.ingress.stop().then(() => {
    isStopped = true;
  });
  assert.deepEqual(server.ingress.notReady(), ['ingress is stopping']);
  assert.equal(await idle.line(), '421 4.3.2 Service is stopping, try again later');
  await idle.closed();
  await assert.rejects(RawClient.open(port));
  assert.equal(isStopped, false);
  busy.send('RCPT TO:<bob@here.example>\r\nDATA\r\nX: y\r\n\r\n.\r\n');
  const replies = await busy.lines(4);
  assert.match(replies[2] ?? '', /^250 2\.0\.0 Queued/);
  assert.equal(replies[3], '421 4.3.2 Service is stopping, try again later');
  await stopped;
  assert.equal((await server.accepted()).length, 1);
});

test('stop: whoever does not end is cut off after stopTimeoutMs', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  await client.ask('MAIL FROM:<a@b>');
  const stopped = server.ingress.stop();
  server.clock.advance(20_000);
  await stopped;
  await client.closed();
});

test('sockets are not read while octets wait for the log, and new connections are refused', async (t) => {
  const append = Promise.withResolvers<AppendFate>();
  const server = await startIngress(t, {
    ingress: { maxUnacknowledgedOctets: 1000, maxMessageOctets: 10_000_000 },
    fate: () => append.promise,
  });
  const waiting = await openMx(server.port('mx'));
  const first = sendMessage(waiting, { content: `X: y\r\n\r\n${'x'.repeat(9_000_000)}` });
  const octets = () => server.metric('angarium_ingress_unacknowledged_octets');
  while ((await octets()) < 9_000_000) await turn();
  const second = await openMx(server.port('mx'));
  second.send('MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n');
  await second.lines(3);
  second.send(`X: y\r\n\r\n${'y'.repeat(8_000_000)}\r\n.\r\n`);
  while ((await octets()) <= 10_000_000) await turn();
  for (let at = 0; at < 50; at++) await turn();
  assert.ok((await octets()) < 11_000_000, `${await octets()}`);
  const refused = await RawClient.open(server.port('mx'));
  assert.equal(await refused.line(), BUSY);
  append.resolve('kept');
  assert.match(await first, /^250 /);
  assert.match(await second.line(), /^250 /);
  assert.equal(await octets(), 0);
  for (const client of [waiting, second]) client.destroy();
});

test('when halves of messages fill the memory, the largest goes with 452 and small mail passes', async (t) => {
  const server = await startIngress(t, { ingress: { maxUnacknowledgedOctets: 1, maxMessageOctets: 200_000 } });
  const halves = await Promise.all([1, 2].map(() => openMx(server.port('mx'))));
  for (const half of halves) {
    half.send('MAIL FROM:<a@b>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n');
    await half.lines(3);
  }
  halves[0]?.send('x'.repeat(150_000));
  halves[1]?.send('x'.repeat(100_000));
  const small = await openMx(server.port('mx'));
  assert.match(await sendMessage(small, { content: 'X: y' }), /^250 /);
  const answers = await Promise.all(halves.map((half) => half.ask('\r\n.')));
  assert.equal(answers[0], '452 4.3.1 Insufficient system storage, try again later');
  assert.match(answers[1] ?? '', /^250 /);
  for (const client of [...halves, small]) client.destroy();
});

test('octets that are not durable: complete ones make others wait, halves make room', () => {
  const held = new Unacknowledged(100);
  const dropped: string[] = [];
  const open = (name: string) => held.open(() => dropped.push(name));
  const complete = open('complete');
  complete.add(90);
  complete.complete();
  const half = open('half');
  half.add(50);
  let isRead = false;
  held.whenRoom(() => {
    isRead = true;
  });
  assert.deepEqual([held.octets, held.isOver, isRead, dropped], [140, true, false, []]);
  complete.release();
  complete.release();
  return Promise.resolve().then(() => {
    assert.deepEqual([held.octets, isRead], [50, true]);
    const other = open('other');
    other.add(60);
    assert.deepEqual([dropped, held.octets], [['other'], 50]);
    other.add(1000);
    half.release();
    assert.equal(held.octets, 0);
  });
});

test('an event loop that was late refuses new connections until the next look', async (t) => {
  const server = await startIngress(t, { ingress: { maxEventLoopLagMs: 50 } });
  const open = async () => {
    const client = await RawClient.open(server.port('mx'));
    const greeting = await client.line();
    client.destroy();
    return greeting;
  };
  // The monitor samples by a timer of its own: hold the loop until it has seen it.
  const openAfterHolding = async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const until = performance.now() + 150;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 50));
    server.clock.advance(1000);
    return open();
  };
  let greeting = '';
  for (let at = 0; at < 20 && greeting !== BUSY; at++) greeting = await openAfterHolding();
  assert.equal(greeting, BUSY);
});

test('a listener that cannot be opened fails the start and leaves nothing open', async (t) => {
  const server = await startIngress(t);
  const listen = [`127.0.0.1:${server.port('mx')}`];
  await assert.rejects(startIngress(t, { ingress: { submissions: { listen } } }), /EADDRINUSE/);
});

test('limits of an account are kept per account, and a session of another listener shares them', async (t) => {
  const server = await startIngress(t, { ingress: { messagesPerHour: 1 } });
  const one = await openSubmission(server.port('submissions'));
  const content = 'From: ann@here.example\r\n\r\n';
  assert.match(await sendMessage(one, { from: '<>', content }), /^250 /);
  const mx = await openMx(server.port('mx'));
  assert.match(await sendMessage(mx, { from: '<>', content }), /^250 /);
  assert.match(await one.ask('MAIL FROM:<>'), /^451 4\.7\.1 /);
  for (const client of [one, mx]) client.destroy();
});
