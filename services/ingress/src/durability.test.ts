import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BlobStore, BlobStoreFull, createMemoryBlobs } from '@angarium/blob';
import { AppendFailed, type AppendFate, type MemoryLog } from '@angarium/log';
import { openMx, openSubmission, sendMessage } from './testing/client.ts';
import { startIngress } from './testing/ingress.ts';

const SMALL = { content: 'X: y\r\n\r\nhello' };
const LARGE = { content: `X: y\r\n\r\n${'x'.repeat(40_000)}` };
const NOT_TAKEN = '451 4.3.0 Message not taken, try again later';
const NO_ROOM = '452 4.3.1 Insufficient system storage, try again later';

test('no 250 before the log has the record', async (t) => {
  const append = Promise.withResolvers<AppendFate>();
  const asked = Promise.withResolvers<void>();
  const fate = () => {
    asked.resolve();
    return append.promise;
  };
  const server = await startIngress(t, { fate });
  const client = await openMx(server.port('mx'));
  const answer = sendMessage(client, SMALL);
  await asked.promise;
  const before = client.received.length;
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([client.received.length, (await server.accepted()).length], [before, 0]);
  append.resolve('kept');
  assert.match(await answer, /^250 /);
  client.destroy();
});

test('an append that failed is 451; one in doubt is counted', async (t) => {
  const fates: AppendFate[] = ['lost', 'inDoubt', 'kept'];
  const server = await startIngress(t, { fate: () => fates.shift() ?? 'kept' });
  const client = await openMx(server.port('mx'));
  assert.equal(await sendMessage(client, SMALL), NOT_TAKEN);
  assert.equal(await server.metric('angarium_ingress_in_doubt_messages_total'), 0);
  assert.equal(await sendMessage(client, SMALL), NOT_TAKEN);
  assert.equal(await server.metric('angarium_ingress_in_doubt_messages_total'), 1);
  assert.match(await sendMessage(client, SMALL), /^250 /);
  assert.equal(await server.metric('angarium_ingress_unacknowledged_octets'), 0);
  client.destroy();
});

test('a full log is 452, any other trouble 451', async (t) => {
  const failures = [new AppendFailed('full', { inDoubt: false }), new AppendFailed('closed', { inDoubt: false }), new Error('bug')];
  const log = (inner: MemoryLog): MemoryLog => ({
    ...inner,
    append: (...args) => {
      const failure = failures.shift();
      return failure ? Promise.reject(failure) : inner.append(...args);
    },
  });
  const server = await startIngress(t, { log });
  const client = await openMx(server.port('mx'));
  assert.deepEqual(
    [await sendMessage(client, SMALL), await sendMessage(client, SMALL), await sendMessage(client, SMALL)],
    [NO_ROOM, NOT_TAKEN, NOT_TAKEN],
  );
  assert.match(await sendMessage(client, SMALL), /^250 /);
  client.destroy();
});

test('a blob store that is full is 452, one that fails 451; nothing is appended then', async (t) => {
  const failures = [new BlobStoreFull('full'), new Error('I/O')];
  const memory = createMemoryBlobs();
  const blobs: BlobStore = {
    ...memory,
    put: (key, body) => {
      const failure = failures.shift();
      return failure ? Promise.reject(failure) : memory.put(key, body);
    },
  };
  const server = await startIngress(t, { blobs });
  const client = await openMx(server.port('mx'));
  assert.deepEqual([await sendMessage(client, LARGE), await sendMessage(client, LARGE)], [NO_ROOM, NOT_TAKEN]);
  assert.equal((await server.accepted()).length, 0);
  assert.match(await sendMessage(client, LARGE), /^250 /);
  client.destroy();
});

test('messages are spread over the partitions of mail.in', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  for (let at = 0; at < 4; at++) await sendMessage(client, SMALL);
  for (const partition of [0, 1]) assert.equal((await server.log.marks('mail.in', partition)).high, 2);
  client.destroy();
});

test('what was not accepted is not counted against the account', async (t) => {
  const fates: AppendFate[] = ['lost'];
  const server = await startIngress(t, { ingress: { messagesPerHour: 1 }, fate: () => fates.shift() ?? 'kept' });
  const client = await openSubmission(server.port('submissions'));
  assert.equal(await sendMessage(client, { ...SMALL, from: '<>' }), NOT_TAKEN);
  assert.match(await sendMessage(client, { ...SMALL, from: '<>' }), /^250 /);
  assert.match(await sendMessage(client, { ...SMALL, from: '<>' }), /^451 4\.7\.1 /);
  client.destroy();
});

test('one line of info for an accepted message, and the counters', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  const answer = await sendMessage(client, SMALL);
  const lines = server.lines.filter(({ event }) => event === 'ingress.message.accepted');
  const [message] = await server.accepted();
  const octets = message?.content?.octets ?? 0;
  const line = { queueId: answer.slice(-26), client: '127.0.0.1', reversePath: 'x@there.example', recipients: 1, octets };
  assert.deepEqual(lines, [{ ...line, event: 'ingress.message.accepted' }]);
  assert.equal(await server.metric('angarium_ingress_messages_total{listener="mx",tls="no"}'), 1);
  assert.equal(await server.metric('angarium_ingress_octets_total{listener="mx"}'), octets);
  assert.equal(await server.metric('angarium_ingress_recipients_total{listener="mx"}'), 1);
  assert.equal(await server.metric('angarium_ingress_sessions_total{listener="mx"}'), 1);
  assert.equal(await server.metric('angarium_ingress_accept_seconds_count'), 1);
  assert.equal(await server.metric('angarium_ingress_connections'), 1);
  client.destroy();
});
