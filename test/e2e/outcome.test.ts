import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type HostAnswer, type SmtpHost, startSmtpHost } from '../fixtures/smtp-host.ts';
import { testTls } from '../fixtures/tls.ts';
import { type Angarium, mailCount, makeFolder, startAngarium, until } from './angarium.ts';
import { openSubmission, readMailbox, send } from './letters.ts';

/*
 * What becomes of mail for other hosts as its sender sees it: put off and tried again, refused, over a smarthost with login
 * and TLS.
 */

const ANN = { address: 'ann@angarium.test', password: 'secret of ann' };
const { folder, remove } = await makeFolder();
let angarium: Angarium;
let host: SmtpHost;
let smarthost: SmtpHost;
let dropping: SmtpHost;
let sent = 0;

/** Replies by local part, each used once; then 250. */
const script = new Map<string, string[]>([
  ['later', ['450 4.2.0 come again', '450 4.2.0 come again']],
  ['much', ['552 5.2.2 too much mail', '552 5.2.2 too much mail']],
  ['gone', ['550 5.1.1 nobody here', '550 5.1.1 nobody here']],
]);
const atRcpt = (line: string): HostAnswer => script.get(/<(.*)@/.exec(line)?.[1] ?? '')?.shift() ?? '250 2.1.5 ok';

before(async () => {
  host = await startSmtpHost({ answers: { RCPT: atRcpt } });
  let dots = 0;
  // Cut off behind the dot once: nobody knows whether it was taken.
  dropping = await startSmtpHost({ answers: { '.': () => (dots++ === 0 ? { and: 'drop' } : '250 2.0.0 taken') } });
  smarthost = await startSmtpHost({
    tls: testTls,
    offers: ['AUTH PLAIN LOGIN'],
  });
  const authorities = join(folder, 'authorities.pem');
  await writeFile(authorities, testTls.cert);
  const delivery = { retryMs: ['300ms'], deadSiteProbeMs: ['300ms'], tlsAuthorityFile: authorities };
  angarium = await startAngarium(folder, { ingress: { relayNetworks: ['127.0.0.0/8'] }, delivery });
  const command = async (args: string, stdin?: string) => {
    const { code, stderr } = await angarium.command(args.split(' '), stdin);
    assert.deepEqual([args, code, stderr], [args, 0, '']);
  };
  await command(`account add ${ANN.address}`, `${ANN.password}\n`);
  await command(`transport add host.test smarthost 127.0.0.1:${host.port} --tls never`);
  await command(`transport add dropping.test smarthost 127.0.0.1:${dropping.port} --tls never`);
  await command(`transport add * smarthost localhost:${smarthost.port} --tls required --login relay`, 'secret of relay\n');
});
after(async () => {
  await angarium?.stop();
  for (const one of [host, dropping, smarthost]) await one?.close();
  await remove();
});

async function submit(...to: string[]): Promise<string> {
  sent += to.length;
  const content = `From: <${ANN.address}>\r\nSubject: ${to[0]}\r\n\r\n.dot\r\n`.replace('\r\n.', '\r\n..');
  return send(await openSubmission(angarium, ANN), { mail: `<${ANN.address}>`, rcpt: to.map((one) => `<${one}>`), content });
}
const concluded = (queueId: string, result: string) => angarium.waitFor(`delivery.recipient.${result}`, (line) => line.queueId === queueId);
const attemptsOf = (queueId: string) =>
  angarium.lines.filter((line) => line.queueId === queueId && line.event === 'delivery.recipient.deferred');

test('450 puts off, the next tries come by the schedule, and 250 ends it', async () => {
  const queueId = await submit('later@host.test');
  const { attempts } = await concluded(queueId, 'delivered');
  assert.equal(attempts, 3);
  const deferrals = attemptsOf(queueId);
  assert.deepEqual(
    deferrals.map(({ reply }) => reply),
    ['450 4.2.0 come again', '450 4.2.0 come again'],
  );
  assert.equal(host.messages.filter(({ to }) => to.includes('later@host.test')).length, 1);
});

test('552 at RCPT is too many recipients or too much for now, not a refusal', async () => {
  const queueId = await submit('much@host.test');
  await concluded(queueId, 'delivered');
  assert.ok(attemptsOf(queueId).length >= 1);
});

test('each recipient has an outcome of its own, and the sender is told of the refused one alone', async () => {
  script.set('later2', ['450 4.2.0 come again']);
  const queueId = await submit('fine@host.test', 'gone@host.test', 'later2@host.test');
  await angarium.waitFor('delivery.recipient.delivered', (line) => line.queueId === queueId && String(line.to).includes('later2'));
  await concluded(queueId, 'bounced');
  const taken = host.messages.flatMap(({ to }) => to);
  assert.deepEqual([taken.filter((one) => one === 'fine@host.test').length, taken.includes('gone@host.test')], [1, false]);
  const reports = await until(async () => {
    const found = await readMailbox(angarium, ANN);
    return found.length > 0 ? found : undefined;
  });
  assert.equal(reports.length, 1);
  assert.match(reports[0] ?? '', /Final-Recipient: rfc822; ?gone@host\.test/i);
  assert.doesNotMatch(reports[0] ?? '', /Final-Recipient: rfc822; ?(fine|later2)/i);
});

test('a connection that is lost behind the final dot is in doubt: tried again, and counted', async () => {
  const queueId = await submit('x@dropping.test');
  await concluded(queueId, 'delivered');
  assert.equal(dropping.messages.length, 1);
  assert.equal(await angarium.metric('angarium_delivery_in_doubt_total'), 1);
});

test('mail for everybody else goes over the smarthost, under TLS and logged in', async () => {
  const queueId = await submit('x@elsewhere.test', 'y@somewhere.test');
  await concluded(queueId, 'delivered');
  await until(async () => (smarthost.messages.flatMap(({ to }) => to).length === 2 ? true : undefined));
  for (const { tls, content } of smarthost.messages) {
    assert.ok(tls);
    assert.match(content, /\r\n\r\n\.dot\r\n$/);
  }
  const login = Buffer.from('\0relay\0secret of relay').toString('base64');
  assert.ok(smarthost.lines.some((line) => line.includes('AUTH PLAIN') && line.includes(login)));
  assert.ok(!JSON.stringify(angarium.lines).includes('secret of relay'), 'no log line tells the password');
});

test('all of it is accounted for', async () => {
  const { accepted, delivered, bounced, difference } = await mailCount(angarium, 0);
  assert.deepEqual({ accepted, delivered, bounced, difference }, { accepted: sent + 1, delivered: sent, bounced: 1, difference: 0 });
});
