import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { freePort } from '../fixtures/ports.ts';
import { type Angarium, mailCount, makeFolder, startAngarium, until } from './angarium.ts';
import { type ClientResult, curlRead, curlSend, need, python, smtpSource, startSmtpSink, swaks } from './clients.ts';

/*
 * Clients that are not ours submit, relay and read. The mail count at the end is of all their mail.
 */

const USER = 'ann@one.test';
const PASSWORD = 'secret of ann';
const LOAD = 200;

const { folder, remove } = await makeFolder();
const behind = `127.0.0.1:${await freePort()}`;
let angarium: Angarium;
let accepted = 0;

const done = async (args: string, stdin?: string) => {
  const { code, stderr } = await angarium.command(args.split(' '), stdin);
  assert.deepEqual([args, code, stderr], [args, 0, '']);
};
before(async () => {
  angarium = await startAngarium(folder, {
    hostname: 'one.test',
    ingress: {
      ...{ relayNetworks: ['127.0.0.0/8'], proxyNetworks: ['127.0.0.0/8'] },
      submissions: { proxyListen: [behind] },
    },
  });
  await done(`account add ${USER}`, `${PASSWORD}\n`);
});
after(async () => {
  await angarium?.stop();
  await remove();
});

const went = (result: ClientResult) => assert.deepEqual([result.code, result.stderr], [0, ''], result.stdout);
const mail = (subject: string) => `From: <${USER}>\r\nTo: <${USER}>\r\nSubject: ${subject}\r\n\r\n.dot\r\n..dots\r\n.\r\n\r\nlast\r\n`;
const at = (listener: 'mx' | 'submission' | 'submissions' | 'pop3' | 'pop3s') => angarium.addresses[listener][0] ?? '';

/** Resolves when so many messages have been stored since the start. */
async function stored(count: number): Promise<void> {
  accepted = count;
  const isLast = () => angarium.lines.filter(({ event }) => event === 'mailbox.message.stored').length >= count;
  await angarium.waitFor('mailbox.message.stored', isLast);
}

const counted = () => mailCount(angarium, 0);

test('curl submits over STARTTLS and over TLS', { skip: need('curl') }, async () => {
  const letter = { from: USER, to: [USER], user: `${USER}:${PASSWORD}` };
  went(await curlSend({ ...letter, url: `smtp://${at('submission')}`, message: mail('curl 1'), requireTls: true }));
  went(await curlSend({ ...letter, url: `smtps://${at('submissions')}`, message: mail('curl 2') }));
  await stored(accepted + 2);
});

test('curl submits behind a balancer, with a PROXY header before its handshake', { skip: need('curl') }, async () => {
  const letter = { from: USER, to: [USER], user: `${USER}:${PASSWORD}`, url: `smtps://${behind}` };
  went(await curlSend({ ...letter, message: mail('curl behind'), proxyHeader: true }));
  assert.notEqual((await curlSend({ ...letter, message: mail('curl without') })).code, 0);
  await stored(accepted + 1);
});

test('swaks submits with each mechanism', { skip: need('swaks') }, async () => {
  const who = ['--from', USER, '--to', USER, '--auth-user', USER, '--auth-password', PASSWORD];
  for (const mechanism of ['PLAIN', 'LOGIN']) {
    const { code, stdout } = await swaks(['--server', at('submission'), '--tls', '--auth', mechanism, ...who]);
    assert.equal(code, 0, stdout);
  }
  const clear = await swaks(['--server', at('submission'), '--auth', 'PLAIN', ...who]);
  assert.notEqual(clear.code, 0, 'no login in clear');
  await stored(accepted + 2);
});

const SMTPLIB = `
from email.message import EmailMessage
user, password = args
message = EmailMessage()
message['From'] = user; message['To'] = user; message['Subject'] = 'Grüße'
message.set_content('Größe\\n.\\n')
with smtplib.SMTP(host, port) as smtp:
    smtp.starttls(context=context)
    smtp.login(user, password)
    smtp.send_message(message)
    assert smtp.mail('stranger@elsewhere.test')[0] // 100 == 5
print('sent')
`;

test("Python's smtplib submits, and may not use a stranger's address", { skip: need('python3') }, async () => {
  const result = await python(SMTPLIB, at('submission'), USER, PASSWORD);
  went(result);
  assert.equal(result.stdout, 'sent\n');
  await stored(accepted + 1);
});

test("Postfix's smtp-source loads the MX listener", { skip: need('smtp-source') }, async () => {
  went(await smtpSource(['-s', '10', '-m', `${LOAD}`, '-l', '2048', '-f', 'load@elsewhere.test', '-t', USER, at('mx')]));
  await stored(accepted + LOAD);
});

test("mail is relayed to Postfix's smtp-sink", { skip: need('smtp-source', 'smtp-sink') }, async () => {
  const sink = await startSmtpSink();
  await done(`transport add sink.test smarthost ${sink.address} --tls never`);
  went(await smtpSource(['-s', '5', '-m', '50', '-f', 'load@elsewhere.test', '-t', 'you@sink.test', at('mx')]));
  accepted += 50;
  await until(async () => ((await counted()).delivered === accepted ? true : undefined));
  await sink.stop();
});

const POPLIB = `
user, password = args
pop = poplib.POP3(host, port)
pop.stls(context)
pop.user(user); pop.pass_(password)
count, octets = pop.stat()
sizes = [int(line.split()[1]) for line in pop.list()[1]]
assert len(sizes) == count and sum(sizes) == octets
total = 0
for number in range(1, count + 1):
    _, lines, _ = pop.retr(number)
    total += sum(len(line) + 2 for line in lines)
    assert lines[0].startswith(b'Return-Path: <') and lines[1].startswith(b'Delivered-To: ')
assert total == octets, (total, octets)
assert len(set(line.split()[1] for line in pop.uidl()[1])) == count
for number in range(1, count + 1): pop.dele(number)
pop.quit()
print(count)
`;

test('curl and poplib read it all', { skip: need('curl', 'python3') }, async () => {
  const list = await curlRead({ url: `pop3s://${at('pop3s')}`, user: `${USER}:${PASSWORD}` });
  went(list);
  const count = list.stdout.trim().split('\r\n').length;
  const first = await curlRead({ url: `pop3://${at('pop3')}`, user: `${USER}:${PASSWORD}`, message: 1 });
  went(first);
  assert.ok(first.stdout.endsWith(mail('curl 1').slice(mail('curl 1').indexOf('\r\n\r\n'))));
  const read = await python(POPLIB, at('pop3'), USER, PASSWORD);
  assert.deepEqual([read.code, read.stdout], [0, `${count}\n`], read.stderr);
});

test('all of it is accounted for', async () => {
  const all = await until(async () => {
    const now = await counted();
    return now.accepted === accepted ? now : undefined;
  });
  assert.deepEqual([all.delivered, all.queued, all.difference], [accepted, 0, 0]);
});
