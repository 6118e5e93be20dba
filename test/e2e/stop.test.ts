import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type SmtpHost, startSmtpHost } from '../fixtures/smtp-host.ts';
import { type Angarium, accounting, makeFolder, startAngarium, until } from './angarium.ts';
import { openMx, openSubmission, readMailbox, send } from './letters.ts';
import { type Load, loadId, startLoad } from './load.ts';
import { openSession } from './session.ts';

/*
 * SIGTERM under load: what runs is finished, who waits is told, and the next start goes on with nothing lost and nothing
 * sent twice.
 */

const USER = { address: 'ann@angarium.test', password: 'secret of ann' };
const CONFIG = { ingress: { relayNetworks: ['127.0.0.0/8'] }, delivery: { retryMs: ['1s'] } };
/** Time that the next host takes for each final dot: transactions are on the wire when the signal comes. */
const SLOW_MS = 300;

const { folder, remove } = await makeFolder();
let angarium: Angarium;
let sink: SmtpHost;
let load: Load;

before(async () => {
  sink = await startSmtpHost({ offers: ['PIPELINING'], dotMs: SLOW_MS });
  angarium = await startAngarium(folder, CONFIG);
  const { code, stderr } = await angarium.command(['account', 'add', USER.address], `${USER.password}\n`);
  assert.equal(code, 0, stderr);
  const added = await angarium.command(['transport', 'add', 'sink.test', 'smarthost', `127.0.0.1:${sink.port}`, '--tls', 'never']);
  assert.equal(added.code, 0, added.stderr);
});
after(async () => {
  await load?.stop();
  await angarium?.stop();
  await sink?.close();
  await remove();
});

test('SIGTERM under load: idle sessions are told with 421, transactions end, exit code 0 within 30 s', async (t) => {
  const idle = await openMx(angarium);
  const inMail = await openMx(angarium);
  assert.equal((await inMail.ask('MAIL FROM:<a@client.test>')).code, 250);
  const loggedIn = await openSubmission(angarium, USER);
  const pop = openSession(angarium.addresses.pop3s[0] ?? '', 'tls');
  assert.match(await pop.line(), /^\+OK/);
  const inData = await openMx(angarium);
  assert.equal((await inData.ask('MAIL FROM:<a@client.test>')).code, 250);
  assert.equal((await inData.ask(`RCPT TO:<${USER.address}>`)).code, 250);
  assert.equal((await inData.ask('DATA')).code, 354);

  const recipient = (number: number) => (number % 2 === 0 ? USER.address : 'you@sink.test');
  load = startLoad({ address: angarium.addresses.mx[0] ?? '', sessions: 10, recipient, name: 'stop' });
  await until(async () => (sink.messages.length >= 5 ? true : undefined));
  const started = Date.now();
  const stopped = angarium.stop();
  for (const session of [idle, loggedIn]) {
    assert.equal((await session.reply()).code, 421);
    await session.closed;
  }
  // Transactions that ran go on to their end.
  assert.equal((await inMail.ask(`RCPT TO:<${USER.address}>`)).code, 250);
  assert.equal((await inMail.ask('DATA')).code, 354);
  assert.equal((await inMail.ask('X-Load-Id: late-mail\r\n\r\nx\r\n.')).code, 250);
  assert.equal((await inData.ask('X-Load-Id: late-data\r\n\r\nx\r\n.')).code, 250);
  for (const session of [inMail, inData]) assert.equal((await session.reply()).code, 421);
  await pop.closed;
  assert.equal(await stopped, 0);
  const tookMs = Date.now() - started;
  await load.stop();
  t.diagnostic(`${load.taken.size} taken, ${load.refused.size} refused, ${load.unanswered.size} unanswered, stopped in ${tookMs} ms`);
  assert.ok(tookMs < 30_000, `${tookMs} ms`);
  assert.deepEqual([...load.unanswered], [], 'no transaction is cut off');
  for (const code of load.refused.values()) assert.equal(code, 421);
});

test('the next start delivers the rest: nothing lost, nothing twice, and the count goes on', async (t) => {
  angarium = await startAngarium(folder, CONFIG);
  const taken = [...load.taken, 'late-mail', 'late-data'];
  const count = await until(async () => {
    const now = await accounting(angarium);
    return now.queued === 0 && now.difference === 0 && now.accepted > 0 ? now : undefined;
  }, 40_000);
  const stored = (await readMailbox(angarium, USER)).map(loadId);
  const relayed = sink.messages.map(({ content }) => loadId(content));
  t.diagnostic(`${stored.length} stored, ${relayed.length} relayed`);
  assert.deepEqual([...stored, ...relayed].sort(), taken.sort());
  const all = taken.length;
  assert.deepEqual(count, { accepted: all, expanded: 0, delivered: all, bounced: 0, expired: 0, discarded: 0, queued: 0, difference: 0 });
});

test('a client and a host that stand still hold it up for their own limits only, both at once', async () => {
  assert.equal(await angarium.stop(), 0);
  angarium = await startAngarium(folder, {
    ingress: { ...CONFIG.ingress, stopTimeoutMs: '3s' },
    delivery: { ...CONFIG.delivery, drainMs: '3s' },
  });
  const deaf = await startSmtpHost({ answers: { '.': { and: 'stall' } } });
  const args = ['transport', 'add', 'deaf.test', 'smarthost', `127.0.0.1:${deaf.port}`, '--tls', 'never'];
  assert.equal((await angarium.command(args)).code, 0);
  const letter = { mail: '<a@client.test>', rcpt: ['<you@deaf.test>'], content: 'Subject: x\r\n\r\nx\r\n' };
  await send(await openMx(angarium), letter);
  const inData = await openMx(angarium);
  for (const line of [`MAIL FROM:${letter.mail}`, `RCPT TO:<${USER.address}>`, 'DATA']) await inData.ask(line);
  await until(async () => (deaf.lines.some((line) => line.endsWith('DATA')) ? true : undefined));
  const started = Date.now();
  assert.equal(await angarium.stop(), 0);
  const tookMs = Date.now() - started;
  assert.ok(tookMs < 5500, `${tookMs} ms`);
  await deaf.close();
  angarium = await startAngarium(folder, CONFIG);
  const count = await until(async () => {
    const now = await accounting(angarium);
    return now.queued === 1 ? now : undefined;
  });
  assert.deepEqual(
    [count.difference, count.accepted - count.delivered],
    [0, 1],
    'the mail on the wire is kept, the one cut off was never taken',
  );
});

test('what was sent and not answered is a fact if the answer comes in time; if the stop is cut short it is held, then sent again', async () => {
  const letter = { mail: '<a@client.test>', rcpt: ['<you@late.test>'], content: 'Subject: x\r\n\r\nx\r\n' };
  const delivery = { ...CONFIG.delivery, drainMs: '10s', inDoubtAfterMs: '100ms' };
  const restart = (over = {}) => startAngarium(folder, { ingress: CONFIG.ingress, delivery: { ...delivery, ...over } });
  assert.equal(await angarium.stop(), 0);
  angarium = await restart();
  const late = await startSmtpHost({ dotMs: 1500 });
  const args = ['transport', 'add', 'late.test', 'smarthost', `127.0.0.1:${late.port}`, '--tls', 'never'];
  assert.equal((await angarium.command(args)).code, 0);
  const sendOne = async (dots: number) => {
    await send(await openMx(angarium), letter);
    await until(async () => (late.lines.filter((line) => line.endsWith('DATA')).length === dots ? true : undefined));
  };

  await sendOne(1);
  const ends = angarium.waitFor('delivery.recipient.delivered');
  const stopped = angarium.stop();
  await angarium.waitFor('delivery.doubt.recorded');
  await ends;
  assert.equal(await stopped, 0);
  assert.equal(late.messages.length, 1);

  angarium = await restart({ drainMs: '200ms', inDoubtHoldMs: '0ms' });
  await sendOne(2);
  void angarium.stop();
  const { untilMs } = await angarium.waitFor('delivery.doubt.recorded');
  await angarium.kill();
  angarium = await restart();
  await angarium.waitFor('delivery.recipient.delivered');
  assert.ok(Date.now() >= Number(untilMs), 'it was held');
  assert.equal(late.lines.filter((line) => line.endsWith('DATA')).length, 3);
  await late.close();
});
