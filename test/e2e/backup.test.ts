import assert from 'node:assert/strict';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type SmtpHost, startSmtpHost } from '../fixtures/smtp-host.ts';
import { type Angarium, accounting, makeFolder, startAngarium, until } from './angarium.ts';
import { openMx, readMailbox, send } from './letters.ts';
import { loadId, startLoad } from './load.ts';

/*
 * A backup while mail is flowing: what was answered with 250 before it began is delivered from the copy, or was before.
 */

const USER = { address: 'ann@angarium.test', password: 'secret of ann' };
const CONFIG = {
  ingress: { relayNetworks: ['127.0.0.0/8'] },
  delivery: { retryMs: ['1s'], deadSiteProbeMs: ['1s'] },
  journal: { segmentOctets: 1024 ** 2 },
};

const { folder, remove } = await makeFolder();
let angarium: Angarium;
let sink: SmtpHost;
before(async () => {
  sink = await startSmtpHost({ offers: ['PIPELINING', '8BITMIME', 'DSN'] });
  angarium = await startAngarium(folder, CONFIG);
  const { code, stderr } = await angarium.command(['account', 'add', USER.address], `${USER.password}\n`);
  assert.equal(code, 0, stderr);
  const added = await angarium.command(['transport', 'add', 'sink.test', 'smarthost', `127.0.0.1:${sink.port}`, '--tls', 'never']);
  assert.equal(added.code, 0, added.stderr);
});
after(async () => {
  await angarium?.stop();
  await sink?.close();
  await remove();
});

const stored = async () => (await readMailbox(angarium, USER)).map(loadId).filter((id) => id !== undefined);

test('a backup made under load loses nothing that was accepted before it began', async (t) => {
  const address = angarium.addresses.mx[0] ?? '';
  const recipient = (number: number) => (number % 2 === 0 ? USER.address : 'you@sink.test');
  const loads = [
    startLoad({ address, sessions: 6, recipient, name: 'small', perSecond: 400 }),
    startLoad({ address, sessions: 2, recipient, name: 'large', octets: 100_000, perSecond: 20 }),
  ];
  await until(async () => (loads.every(({ taken }) => taken.size > 30) ? true : undefined));
  const waiting = 'Subject: waits\r\n\r\nx\r\n';
  const suspended = await angarium.command(['queue', 'suspend', 'domain:sink.test']);
  assert.equal(suspended.code, 0, suspended.stderr);
  await send(await openMx(angarium), { mail: '<load@client.test>', rcpt: ['<me@sink.test>'], content: waiting });

  const before = new Set(loads.flatMap(({ taken }) => [...taken]));
  const arrivedBefore = sink.messages.length;
  const target = join(folder, 'backup');
  const made = await angarium.command(['backup', target]);
  assert.equal(made.code, 0, made.stderr);
  const sinceThen = loads.reduce((sum, { taken }) => sum + taken.size, 0) - before.size;
  assert.ok(sinceThen > 0, 'mail was taken while the backup ran');
  await Promise.all(loads.map((load) => load.stop()));
  assert.equal(await angarium.stop(), 0);

  await rename(join(folder, 'data'), join(folder, 'lost'));
  const restored = await angarium.command(['restore', target]);
  assert.equal(restored.code, 0, restored.stderr);
  angarium = await startAngarium(folder, CONFIG);
  assert.deepEqual(
    angarium.lines.filter(({ level }) => level === 'error'),
    [],
  );
  const resumed = await angarium.command(['queue', 'resume', 'domain:sink.test']);
  assert.equal(resumed.code, 0, resumed.stderr);
  const count = await until(async () => {
    const now = await accounting(angarium);
    return now.queued === 0 && now.accepted > 0 && now.difference === 0 ? now : undefined;
  }, 30_000);
  assert.equal(count.accepted, count.delivered);

  const inMailbox = await stored();
  const relayed = sink.messages.map(({ content }) => loadId(content) ?? content);
  const arrived = new Set([...inMailbox, ...relayed]);
  assert.deepEqual([...before].filter((id) => !arrived.has(id)).slice(0, 5), [], 'lost');
  assert.equal(new Set(inMailbox).size, inMailbox.length, 'a mailbox has nothing twice');
  assert.ok(sink.messages.some(({ content }) => content.includes('Subject: waits')));
  const copies = relayed.length - new Set(relayed).size;
  t.diagnostic(`${before.size} before, ${sinceThen} while it ran, ${arrived.size} arrived, ${copies} copies at the sink`);
  assert.ok(copies <= relayed.length - arrivedBefore);
});

test('of two backups at the same time one is made; a refused one says why', async () => {
  const both = await Promise.all(['one', 'two'].map((name) => angarium.command(['backup', join(folder, name)])));
  const refused = both.filter(({ code }) => code !== 0);
  for (const { stderr } of refused) assert.match(stderr, /another backup/);
  const manifests = both.flatMap(({ code }, at) => (code === 0 ? [join(folder, ['one', 'two'][at] ?? '', 'manifest.json')] : []));
  assert.ok(manifests.length > 0);
  for (const manifest of manifests) assert.equal(JSON.parse(await readFile(manifest, 'utf8')).formatVersion, 1);
});
