import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Angarium, accounting, makeFolder, type Role, startAngarium, until } from '../e2e/angarium.ts';
import { openMx, readMailbox, send } from '../e2e/letters.ts';
import { hasS3, startS3, type TestS3 } from '../s3/server.ts';
import { createCommand } from './command.ts';
import { hasBrokers, useBrokers } from './fixtures.ts';

/* Each service a process of its own over real Kafka, with large contents on a real S3 server that all of them share. */

if (hasBrokers('the roles on S3') && hasS3('the roles on S3')) {
  const brokers = useBrokers({ count: 1, mayBeShared: true });
  const { folder, remove } = await makeFolder();
  const running = new Map<Role, Angarium>();
  const user = { address: 'me@angarium.test', password: 'a password' };
  const letter = (subject: string) => ({
    mail: '<a@client.test>',
    rcpt: [`<${user.address}>`],
    content: `Subject: ${subject}\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(30_000)}`,
  });
  let s3: TestS3;
  let bucket: string;
  before(async () => {
    s3 = await startS3();
    bucket = await s3.createBucket();
  });
  after(async () => {
    await Promise.all([...running.values()].map((one) => one.kill()));
    await s3.close();
    await remove();
  });

  const at = (name: string) => `unix:${join(folder, `${name}.sock`)}`;
  const config = (role?: Role) => ({
    blobs: {
      engine: 's3',
      s3: { bucket, prefix: 'angarium/', endpoint: s3.endpoint, credentialsFile: s3.credentialsFile, retryMs: [50], checkMs: 500 },
    },
    kafka: { brokers: brokers().addresses, prefix: `s3-${process.pid}-`, replicationFactor: 1, minInSyncReplicas: 1 },
    directoryListen: role === 'routing' ? at('directory') : '',
    directoryAt: at('directory'),
    mailboxAt: at('mailbox'),
    mailbox: { rpcListen: at('mailbox'), directory: at('directory') },
    delivery: { ownFaultRetryMs: [200, 500], graceMs: 1000 },
  });
  const start = async (role: Role): Promise<Angarium> => {
    await mkdir(join(folder, role), { recursive: true });
    const started = await startAngarium(join(folder, role), config(role), role);
    running.set(role, started);
    return started;
  };
  const one = (role: Role): Angarium => running.get(role) as Angarium;
  const mailsOf = async (subject: string) =>
    (await readMailbox(one('mailbox'), user)).filter((mail) => mail.includes(`Subject: ${subject}\r\n`));

  test('a large mail goes from process to process through the bucket into a mailbox, octet for octet', { timeout: 90_000 }, async () => {
    const command = await createCommand(join(folder, 'topics'), config());
    assert.equal((await command(['topics', 'create'])).code, 0);
    await start('routing');
    await one('routing').command(['domain', 'add', 'angarium.test']);
    await one('routing').command(['account', 'add', user.address], `${user.password}\n`);
    for (const role of ['mailbox', 'ingress', 'delivery'] as const) await start(role);
    const queueId = await send(await openMx(one('ingress')), letter('first'));
    await one('mailbox').waitFor('mailbox.message.stored', (line) => line.queueId === queueId);
    const [mail = ''] = await mailsOf('first');
    assert.ok(mail.endsWith(letter('first').content), mail.slice(0, 500));
    const kept = await readdir(join(s3.folder, bucket, 'angarium'), { recursive: true });
    assert.ok(kept.includes(`shared/${queueId}`) && kept.some((path) => path.startsWith(`mail/${queueId}.`)));
    for (const role of running.keys()) {
      const local = await readdir(join(folder, role, 'data'));
      assert.ok(!local.includes('blobs') && !local.includes('mail'), `${role}: ${local.join()}`);
    }
  });

  test('what was accepted waits while the S3 server is dead, spends no attempt, and arrives once when it is back', {
    timeout: 90_000,
  }, async () => {
    assert.equal(await one('delivery').stop(), 0);
    const queueId = await send(await openMx(one('ingress')), letter('second'));
    await s3.kill();
    await start('delivery');
    const waiting = await until(async () => {
      const { stdout } = await one('delivery').command(['queue', 'show', queueId, '--json']);
      return /trouble of our own/.test(stdout) ? JSON.parse(stdout)[0] : undefined;
    }, 30_000);
    assert.equal(waiting.attempts, 0);
    await s3.start();
    await one('mailbox').waitFor('mailbox.message.stored', (line) => line.queueId === queueId);
    await until(async () => ((await accounting(one('delivery'))).queued === 0 ? 1 : undefined), 30_000);
    const mails = await mailsOf('second');
    assert.equal(mails.length, 1);
    assert.ok(mails[0]?.endsWith(letter('second').content));
  });

  test('SIGTERM ends each role with 0', async () => {
    for (const [name, angarium] of running) assert.equal(await angarium.stop(), 0, name);
    running.clear();
  });
}
