import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type SmtpHost, startSmtpHost } from '../fixtures/smtp-host.ts';
import { type Angarium, accounting, makeFolder, startAndKill, startAngarium, until } from './angarium.ts';
import { openMx, readMailbox, send } from './letters.ts';
import { type Load, loadId, startLoad } from './load.ts';
import { SEED, seeded } from './random.ts';

/*
 * kill -9 under load, several times over. What was answered with 250 is there in the end, nothing is there twice but what
 * was on the wire to the next host, and the count says so too.
 */

const ROUNDS = 5;
/** Default of delivery.siteConnections. */
const SITE_CONNECTIONS = 20;
const USER = { address: 'ann@angarium.test', password: 'secret of ann' };
const CONFIG = { ingress: { relayNetworks: ['127.0.0.0/8'] }, delivery: { retryMs: ['1s'], deadSiteProbeMs: ['1s'] } };

const { folder, remove } = await makeFolder();
let angarium: Angarium;
let sink: SmtpHost;
const loads: Load[] = [];
/** At each kill: messages that the sink had taken, and connections to it. */
const kills: { readonly taken: number; readonly open: number }[] = [];
const noteKill = () => void kills.push({ taken: sink.messages.length, open: sink.openConnections() });
let singles = 0;

before(async () => {
  console.log(`seed ${SEED}: run again with SEED=${SEED}`);
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

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const recipient = (number: number) => (number % 2 === 0 ? USER.address : 'you@sink.test');

for (let round = 1; round <= ROUNDS; round++) {
  test(`round ${round}: killed under load, it takes mail again within 5 s`, async (t) => {
    const random = seeded(SEED * 100 + round);
    const load = startLoad({ address: angarium.addresses.mx[0] ?? '', sessions: 12, recipient, name: `r${round}`, messages: 600 });
    loads.push(load);
    await until(async () => (load.firstTakenAtMs() === undefined ? undefined : true));
    await wait(100 + Math.floor(random() * 900));
    noteKill();
    await angarium.kill();
    await load.stop();
    // Also while it reads what the last one left.
    if (round % 2 === 0) await startAndKill(folder, 300 + Math.floor(random() * 1200), noteKill);
    const killed = Date.now();
    angarium = await startAngarium(folder, CONFIG);
    await send(await openMx(angarium), {
      mail: '<load@client.test>',
      rcpt: [`<${USER.address}>`],
      content: 'Subject: single\r\n\r\nx\r\n',
    });
    singles++;
    const tookMs = Date.now() - killed;
    t.diagnostic(`${load.taken.size} taken, ${load.unanswered.size} unanswered, ${load.refused.size} refused, 250 after ${tookMs} ms`);
    assert.ok(tookMs < 5000, `${tookMs} ms`);
    assert.ok(load.taken.size > 0);
    assert.equal(load.refused.size, 0, JSON.stringify([...load.refused].slice(0, 5)));
  });
}

test('everything that was answered with 250 is delivered, and the count says the same', async (t) => {
  const count = await until(async () => {
    const now = await accounting(angarium);
    return now.queued === 0 && now.difference === 0 && now.accepted > 0 ? now : undefined;
  }, 40_000);
  const taken = new Set(loads.flatMap((load) => [...load.taken]));
  const unanswered = new Set(loads.flatMap((load) => [...load.unanswered]));
  const contents = await readMailbox(angarium, USER);
  const stored = contents.map(loadId).filter((id) => id !== undefined);
  const relayed = sink.messages.map(({ content }) => loadId(content) ?? content);
  const arrived = new Set([...stored, ...relayed]);

  assert.deepEqual([...taken].filter((id) => !arrived.has(id)).slice(0, 5), [], 'lost');
  assert.deepEqual(
    [...arrived].filter((id) => !taken.has(id) && !unanswered.has(id)),
    [],
    'from nowhere',
  );
  assert.equal(new Set(stored).size, stored.length, 'a mailbox has nothing twice');
  assert.equal(contents.length, stored.length + singles);
  const all = arrived.size + singles;
  t.diagnostic(`${taken.size} taken, ${arrived.size} arrived, ${relayed.length - new Set(relayed).size} extra copies at the sink`);
  assert.deepEqual(count, { accepted: all, expanded: 0, delivered: all, bounced: 0, expired: 0, discarded: 0, queued: 0, difference: 0 });
});

test('extra copies are of transactions whose dot was out at a kill: no more than connections were open', (t) => {
  const first = new Map<string, number>();
  const copies = kills.map(() => 0);
  sink.messages.forEach(({ content }, index) => {
    const id = loadId(content) ?? '';
    const before = first.get(id);
    first.set(id, index);
    if (before === undefined) return;
    // The kill between both.
    const kill = kills.findIndex(({ taken }) => taken > before);
    copies[kill] = (copies[kill] ?? 0) + 1;
  });
  const open = kills.map((kill) => kill.open);
  t.diagnostic(`copies by kill ${copies.join(' ')}, open connections ${open.join(' ')}`);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  assert.ok(sum(copies) <= sum(open));
  for (const count of copies) assert.ok(count <= SITE_CONNECTIONS);
});
