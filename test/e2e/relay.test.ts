import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Angarium, mailCount, makeFolder, startAngarium } from './angarium.ts';
import { openSession } from './session.ts';

/*
 * A mail to an alias of three recipients: one here, one at a second Angarium, one unknown there. It ends as two
 * deliveries and one delivery status notification to its sender.
 */

const here = await makeFolder();
const there = await makeFolder();
let one: Angarium;
let other: Angarium;

before(async () => {
  [one, other] = await Promise.all([
    startAngarium(here.folder, { hostname: 'one.test' }),
    startAngarium(there.folder, { hostname: 'other.test' }),
  ]);
});
after(async () => {
  await Promise.all([one?.stop(), other?.stop()]);
  await Promise.all([here.remove(), there.remove()]);
});

const run = async (angarium: Angarium, args: string, stdin?: string) => {
  const { code, stderr } = await angarium.command(args.split(' '), stdin);
  assert.deepEqual([args, code, stderr], [args, 0, '']);
};

async function send(angarium: Angarium, from: string, to: string) {
  const session = openSession(angarium.addresses.mx[0] ?? '');
  assert.equal((await session.reply()).code, 220);
  assert.equal((await session.ask('EHLO client.test')).code, 250);
  assert.equal((await session.ask(`MAIL FROM:<${from}>`)).code, 250);
  assert.equal((await session.ask(`RCPT TO:<${to}>`)).code, 250);
  assert.equal((await session.ask('DATA')).code, 354);
  const { code, lines } = await session.ask(`From: <${from}>\r\nTo: <${to}>\r\nSubject: to all\r\n\r\nHello.\r\n.`);
  assert.equal(code, 250, lines.join());
  session.end();
}

test('an alias of three ends as two deliveries and one notification', async () => {
  await run(one, 'account add ann@one.test', 'secret of ann\n');
  await run(one, 'account add sender@one.test', 'secret of sender\n');
  await run(other, 'account add bob@other.test', 'secret of bob\n');
  await run(one, 'alias add all@one.test ann@one.test bob@other.test nobody@other.test');
  await run(one, `transport add other.test smarthost ${other.addresses.mx[0]} --tls never`);
  await send(one, 'sender@one.test', 'all@one.test');

  await one.waitFor('mailbox.message.stored', (line) => JSON.stringify(line).includes('ann@one.test'));
  await other.waitFor('mailbox.message.stored', (line) => JSON.stringify(line).includes('bob@other.test'));
  await one.waitFor('mailbox.message.stored', (line) => JSON.stringify(line).includes('sender@one.test'));

  // Accepted: the mail to the alias and the notification; the alias makes two more of one.
  assert.deepEqual(await mailCount(one, 0), {
    accepted: 2,
    expanded: 2,
    delivered: 3,
    bounced: 1,
    expired: 0,
    discarded: 0,
    queued: 0,
    difference: 0,
  });
  assert.deepEqual(await mailCount(other, 0), {
    accepted: 1,
    expanded: 0,
    delivered: 1,
    bounced: 0,
    expired: 0,
    discarded: 0,
    queued: 0,
    difference: 0,
  });
});
