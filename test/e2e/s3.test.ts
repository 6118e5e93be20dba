import assert from 'node:assert/strict';
import { access, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hasS3, startS3, type TestS3 } from '../s3/server.ts';
import { type Angarium, mailCount, makeFolder, startAngarium, until } from './angarium.ts';
import { openMx, readMailbox, send, sendLetter } from './letters.ts';

/* Large contents in a bucket of a real S3 server. */

const LINE = `${'x'.repeat(70)}\r\n`;
const letter = (subject: string, lines: number) => ({
  mail: '<a@client.test>',
  rcpt: ['<me@angarium.test>'],
  content: `Subject: ${subject}\r\n\r\n${LINE.repeat(lines)}`,
});
const LARGE = 30_000;

if (hasS3('large contents on S3')) {
  const { folder, remove } = await makeFolder();
  let s3: TestS3;
  let angarium: Angarium;
  let bucket: string;
  const config = (changes: object = {}) => ({
    blobs: {
      engine: 's3',
      s3: {
        bucket,
        endpoint: s3.endpoint,
        credentialsFile: s3.credentialsFile,
        silenceTimeoutMs: 1000,
        checkMs: 500,
        retryMs: [50, 100],
        ...changes,
      },
    },
    delivery: { ownFaultRetryMs: [200, 500] },
  });
  const start = async () => {
    angarium = await startAngarium(folder, config());
  };
  const readiness = async () => (await fetch(`http://${angarium.addresses.metrics}/readyz`)).text();
  const user = () => ({
    address: 'me@angarium.test',
    password: /me@angarium\.test:([^']+)'/.exec(angarium.printed.join('\n'))?.[1] ?? '',
  });

  before(async () => {
    s3 = await startS3();
    bucket = await s3.createBucket();
  });
  after(async () => {
    await angarium?.kill();
    await s3.close();
    await remove();
  });

  test('a missing bucket, wrong keys and missing keys are each told in a sentence at the start', async () => {
    const wrongKeys = join(folder, 'wrong-keys');
    await writeFile(wrongKeys, 'aws_access_key_id = someone\naws_secret_access_key = hush-hush\n');
    for (const [changes, said] of [
      [{ bucket: 'nowhere' }, /there is no bucket nowhere: make it/],
      [{ credentialsFile: wrongKeys }, /the credentials are not accepted/],
      [{ credentialsFile: join(folder, 'no-keys') }, /no-keys/],
    ] as const) {
      const failure = await startAngarium(folder, config(changes)).then(
        () => 'it started',
        (error: Error) => error.message,
      );
      assert.match(failure, said);
      assert.ok(!failure.includes('hush-hush') && !/\n\s+at /.test(failure), failure);
    }
  });

  test('a large mail goes through the bucket into a mailbox, and is read as it was sent', async () => {
    await start();
    const large = letter('large', LARGE);
    const queueId = await send(await openMx(angarium), large);
    await angarium.waitFor('mailbox.message.stored', (line) => line.queueId === queueId);
    const [message = ''] = await readMailbox(angarium, user());
    assert.ok(message.endsWith(large.content), message.slice(0, 500));
    const kept = await readdir(join(s3.folder, bucket), { recursive: true });
    assert.ok(kept.includes(`shared/${queueId}`));
    assert.equal(kept.filter((path) => path.startsWith(`mail/${queueId}.`)).length, 3);
    for (const name of ['blobs', 'mail']) await assert.rejects(access(join(folder, 'data', name)));
    assert.ok((await angarium.metric('angarium_blob_call_seconds_count')) >= 5);
    assert.equal(await angarium.metric('angarium_blob_failures_total'), 0);
  });

  test('while the server is dead small mail goes on and large mail is deferred at the door; it is taken when the server is back', async () => {
    await s3.kill();
    const session = await openMx(angarium);
    assert.equal((await sendLetter(session, letter('refused', LARGE))).code, 451);
    const small = await sendLetter(session, letter('small', 10));
    await angarium.waitFor('mailbox.message.stored', (line) => line.queueId === small.queueId);
    await s3.start();
    const taken = await sendLetter(session, letter('taken', LARGE));
    assert.equal(taken.code, 250);
    await angarium.waitFor('mailbox.message.stored', (line) => line.queueId === taken.queueId);
    session.end();
    await mailCount(angarium, 0);
    assert.ok((await angarium.metric('angarium_blob_failures_total')) >= 1);
    assert.ok((await angarium.metric('angarium_blob_repeats_total')) >= 2);
  });

  test('while the server does not answer at the start the process is not ready and says why; then it is', async () => {
    assert.equal(await angarium.stop(), 0);
    await s3.kill();
    await start();
    assert.match(await readiness(), /^blobs: the bucket has not answered yet$/m);
    await s3.start();
    await until(async () => ((await readiness()) === 'ok\n' ? 1 : undefined));
  });

  test('another data folder does not get the bucket, whose mail it would sweep away', async () => {
    const other = await makeFolder();
    await assert.rejects(startAngarium(other.folder, config()), /keeps the queue of another owner.*give one of them another bucket/);
    const neighbour = await startAngarium(other.folder, config({ prefix: 'other/' }));
    assert.equal(await neighbour.stop(), 0);
    await other.remove();
  });

  test('a bucket that went away makes the process not ready, and it says so', async () => {
    await rm(join(s3.folder, bucket), { recursive: true });
    await until(async () => (/there is no bucket/.test(await readiness()) ? 1 : undefined));
  });
}
