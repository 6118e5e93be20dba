import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Angarium, mailCount, makeFolder, startAngarium, until } from './angarium.ts';
import { openSession } from './session.ts';

/* The mailbox service in a process of its own, wired by gRPC to the process that holds the log. */

const one = await makeFolder();
const other = await makeFolder();
const directoryAt = `unix:${join(one.folder, 'directory.sock')}`;
const mailboxAt = `unix:${join(one.folder, 'mailbox.sock')}`;
let main: Angarium;
let mailbox: Angarium;
const startMailbox = () => startAngarium(other.folder, { mailbox: { rpcListen: mailboxAt, directory: directoryAt } }, 'mailbox');

before(async () => {
  main = await startAngarium(one.folder, { directoryListen: directoryAt, mailboxAt });
  mailbox = await startMailbox();
});
after(async () => {
  await Promise.all([main?.stop(), mailbox?.stop()]);
  await Promise.all([one.remove(), other.remove()]);
});

async function send(subject: string): Promise<string> {
  const session = openSession(main.addresses.mx[0] ?? '');
  await session.reply();
  await session.ask('EHLO client.test');
  await session.ask('MAIL FROM:<a@client.test>');
  await session.ask('RCPT TO:<me@angarium.test>');
  await session.ask('DATA');
  const { code, lines } = await session.ask(`Subject: ${subject}\r\n\r\nx\r\n.`);
  assert.equal(code, 250);
  session.end();
  return /[0-9A-Z]{26}/.exec(lines.join())?.[0] ?? '';
}

test('mail goes over gRPC into the other process, and is read there', async () => {
  const queueId = await send('one');
  await mailbox.waitFor('mailbox.message.stored', (line) => line.queueId === queueId);
  const password = /me@angarium\.test:([^']+)'/.exec(main.printed.join('\n'))?.[1];
  assert.equal(main.addresses.pop3.length, 0);
  assert.ok(password === undefined, 'without a mailbox of its own it prints no commands');
  await mailCount(main, 0);
});

test('while the mailbox process is dead its mail waits, unspent, and arrives once when it is back', async () => {
  await mailbox.kill();
  const queueId = await send('two');
  const waiting = await until(async () => {
    const { stdout } = await main.command(['queue', 'show', queueId, '--json']);
    return /does not answer/.test(stdout) ? JSON.parse(stdout)[0] : undefined;
  });
  assert.equal(waiting.attempts, 0, 'our own fault spends no attempt');
  mailbox = await startMailbox();
  await main.command(['queue', 'flush', '--all']);
  await mailbox.waitFor('mailbox.message.stored', (line) => line.queueId === queueId);
  const count = await mailCount(main, 0);
  assert.equal(count.delivered, 2);
});
