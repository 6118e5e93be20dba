import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startCollector } from '../fixtures/collector.ts';
import { startSmtpHost } from '../fixtures/smtp-host.ts';
import { makeFolder, startAngarium, until } from './angarium.ts';
import { openSession } from './session.ts';

/* One message, one trace: over ingress, routing, delivery and a mailbox in another process. */

const [one, other] = [await makeFolder(), await makeFolder()];
const collector = await startCollector();
const host = await startSmtpHost();
const [directory, at] = ['directory', 'mailbox'].map((name) => `unix:${join(one.folder, `${name}.sock`)}`);
const tracing = { endpoint: collector.endpoint };
const main = await startAngarium(one.folder, { tracing, directoryListen: directory, mailboxAt: at });
const mailbox = await startAngarium(other.folder, { tracing, mailbox: { rpcListen: at, directory } }, 'mailbox');
after(async () => {
  await Promise.all([main.stop(), mailbox.stop()]);
  await Promise.all([one.remove(), other.remove(), host.close()]);
  collector.close();
});

async function send(to: readonly string[]): Promise<string> {
  const session = openSession(main.addresses.mx[0] ?? '');
  await session.reply();
  await session.ask('EHLO client.test');
  await session.ask('MAIL FROM:<a@client.test>');
  for (const recipient of to) await session.ask(`RCPT TO:<${recipient}>`);
  await session.ask('DATA');
  const { code, lines } = await session.ask('Subject: traced\r\n\r\nx\r\n.');
  assert.equal(code, 250);
  session.end();
  return /[0-9A-Z]{26}/.exec(lines.join())?.[0] ?? '';
}

test('a message that goes to a mailbox and to another host is one trace over all services and processes', async () => {
  await main.command(['transport', 'add', 'far.test', 'smarthost', `127.0.0.1:${host.port}`, '--tls', 'never']);
  await main.command(['alias', 'add', 'both@angarium.test', 'me@angarium.test', 'you@far.test']);
  const queueId = await send(['both@angarium.test']);
  const spans = await until(async () => {
    const found = collector.spans.filter(({ attributes }) => attributes['angarium.queue_id'] === queueId);
    return found.length === 5 ? found : undefined;
  });
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1);
  const named = (name: string) => spans.filter((span) => span.name === name);
  const [accepted] = named('ingress accept');
  assert.equal(accepted?.parentId, '');
  for (const name of ['routing route', 'delivery attempt'])
    for (const span of named(name)) assert.equal(span.parentId, accepted?.spanId, name);
  const [stored] = named('mailbox deliver');
  assert.ok(named('delivery attempt').some(({ spanId }) => spanId === stored?.parentId));
  assert.deepEqual([accepted?.service, stored?.service], ['angarium', 'mailbox']);
  const replies = named('delivery attempt').map(({ attributes }) => attributes['angarium.reply']);
  assert.deepEqual(replies.toSorted(), ['250 2.0.0', '250 2.1.5']);
});

test('latency metrics show the trace of a message as their example', async () => {
  const { traceId } = collector.spans.find(({ name }) => name === 'ingress accept') ?? {};
  const response = await fetch(`http://${main.addresses.metrics}/metrics`);
  const text = await response.text();
  assert.match(response.headers.get('content-type') ?? '', /openmetrics/);
  for (const metric of [
    'angarium_ingress_accept_seconds',
    'angarium_delivery_first_attempt_seconds',
    'angarium_delivery_end_to_end_seconds',
  ])
    assert.match(text, new RegExp(`${metric}_bucket\\{le="[^"]+"\\} \\d+ # \\{trace_id="${traceId}"\\}`), metric);
});
