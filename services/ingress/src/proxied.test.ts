import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { RawClient, sendMessage } from './testing/client.ts';
import { startIngress, type TestIngress } from './testing/ingress.ts';

/* Listeners behind a balancer. */

const HEADER = 'PROXY TCP4 203.0.113.9 192.0.2.1 4660 25\r\n';
const behind = (more: object = {}) => ({
  mx: { listen: [], proxyListen: ['127.0.0.1:0'] },
  submissions: { listen: [], proxyListen: ['127.0.0.1:0'] },
  proxyNetworks: ['127.0.0.0/8'],
  ...more,
});
const portOf = ({ ingress }: TestIngress, listener: 'mx' | 'submissions') => Number(ingress.proxiedAddresses[listener][0]?.split(':')[1]);

async function send(client: RawClient): Promise<string> {
  await client.ask('EHLO client.test');
  return sendMessage(client, { content: 'Subject: x\r\n\r\nx\r\n' });
}

test('a session behind a balancer is the client’s: in the Received field, in the log, and for whom relaying is allowed', async (t) => {
  const world = await startIngress(t, { ingress: behind({ relayNetworks: ['203.0.113.0/24'] }) });
  const client = new RawClient(connect(portOf(world, 'mx'), '127.0.0.1'));
  client.send(`${HEADER}`);
  await client.reply();
  for (const line of ['EHLO client.test', 'MAIL FROM:<a@client.test>']) await client.ask(line);
  assert.match(await client.ask('RCPT TO:<bob@elsewhere.test>'), /^250/);
  await client.ask('DATA');
  assert.match(await client.ask('Subject: x\r\n\r\nx\r\n.'), /^250/);
  const [accepted] = await world.accepted();
  const place = accepted?.content?.place;
  assert.ok(place?.$case === 'inline');
  assert.match(Buffer.from(place.value).toString(), /^Received: from client\.test \(\[203\.0\.113\.9\]\)/);
  client.destroy();
});

test('the header may come with the first commands in one piece, and octet by octet', async (t) => {
  const world = await startIngress(t, { ingress: behind() });
  const together = new RawClient(connect(portOf(world, 'mx'), '127.0.0.1'));
  together.send(`${HEADER}EHLO client.test\r\n`);
  assert.equal((await together.reply()).code, 220);
  assert.equal((await together.reply()).code, 250);
  together.destroy();
  const apart = new RawClient(connect(portOf(world, 'mx'), '127.0.0.1'));
  for (const octet of HEADER) apart.send(octet);
  assert.equal((await apart.reply()).code, 220);
  assert.match(await send(apart), /^250/);
  apart.destroy();
});

test('a client behind a balancer is held to its own number of connections, the balancer to none', async (t) => {
  const world = await startIngress(t, { ingress: behind({ maxConnectionsPerClient: 1 }) });
  const open = async (address: string) => {
    const client = new RawClient(connect(portOf(world, 'mx'), '127.0.0.1'));
    client.send(`PROXY TCP4 ${address} 192.0.2.1 4660 25\r\n`);
    return { client, greeting: await client.reply() };
  };
  const clients = [await open('203.0.113.1'), await open('203.0.113.2'), await open('203.0.113.1')];
  assert.deepEqual(
    clients.map(({ greeting }) => greeting.code),
    [220, 220, 421],
  );
  for (const { client } of clients) client.destroy();
});

test('a handshake begins behind the header', async (t) => {
  const world = await startIngress(t, { ingress: behind() });
  const socket = connect(portOf(world, 'submissions'), '127.0.0.1');
  socket.write(HEADER);
  const client = new RawClient(connectTls({ socket, rejectUnauthorized: false }));
  assert.equal((await client.reply()).code, 220);
  client.destroy();
});

test('the balancer’s own connections are its own: of version 2, with the local command', async (t) => {
  const world = await startIngress(t, { ingress: behind() });
  const client = new RawClient(connect(portOf(world, 'mx'), '127.0.0.1'));
  client.send(Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), Buffer.from([0x20, 0, 0, 0])]));
  assert.equal((await client.reply()).code, 220);
  assert.match(await send(client), /^250/);
  client.destroy();
});

/** What comes back until the connection is closed. */
async function answerTo(port: number, octets: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let said = '';
  socket.on('data', (data) => {
    said += data;
  });
  socket.on('error', () => {});
  socket.write(octets);
  await once(socket, 'close');
  return said;
}

test('whoever is not believed, or sends no header, is cut off without a word, and counted', async (t) => {
  const world = await startIngress(t, { ingress: behind({ proxyHeaderTimeoutMs: 200 }) });
  const cases = {
    missing: 'EHLO client.test\r\n',
    broken: 'PROXY TCP4 nobody 192.0.2.1 1 2\r\n',
    too_long: 'PROXY '.padEnd(200, 'x'),
    late: 'PROXY TCP4',
  };
  for (const [reason, octets] of Object.entries(cases)) {
    assert.equal(await answerTo(portOf(world, 'mx'), octets), '');
    assert.equal(await world.metric(`angarium_ingress_proxy_refused_total{reason="${reason}"}`), 1, reason);
  }
  const strict = await startIngress(t, { ingress: behind({ proxyNetworks: ['192.0.2.0/24'] }) });
  assert.equal(await answerTo(portOf(strict, 'mx'), HEADER), '');
  assert.equal(await strict.metric('angarium_ingress_proxy_refused_total{reason="untrusted"}'), 1);
});
