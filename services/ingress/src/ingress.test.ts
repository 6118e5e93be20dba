import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMx, openSubmission, RawClient, sendMessage } from './testing/client.ts';
import { startIngress } from './testing/ingress.ts';

test('a message for a hosted domain is answered with 250 and its queue id once it is in the log', async (t) => {
  const server = await startIngress(t);
  const client = await openMx(server.port('mx'));
  const answer = await sendMessage(client, { content: 'Subject: hi\r\n\r\nhello' });
  const [message] = await server.accepted();
  assert.equal(answer, `250 2.0.0 Queued as ${message?.envelope?.queueId}`);
  assert.equal(await client.ask('QUIT'), '221 2.0.0 Bye');
  await client.closed();
});

test('an account hands its mail in over TLS', async (t) => {
  const server = await startIngress(t);
  const client = await openSubmission(server.port('submissions'));
  const answer = await sendMessage(client, {
    from: '<ann@here.example>',
    to: '<x@there.example>',
    content: 'From: ann@here.example\r\n\r\nhello',
  });
  assert.match(answer, /^250 2\.0\.0 /);
  const [message] = await server.accepted();
  assert.equal(message?.envelope?.tenant, 'ann@here.example');
});
