import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, mock, type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { testTls } from '../../../../test/fixtures/tls.ts';
import { hasS3, startS3, type TestS3 } from '../../../../test/s3/server.ts';
import { blobContract } from '../contract.ts';
import { createFront } from '../fixtures/front.ts';
import { BlobStoreFull, BlobStoreRefused } from '../port.ts';
import { openS3Blobs } from './open.ts';
import type { S3Blobs, S3BlobsOptions } from './s3-blobs.ts';

/* S3 blobs over a real server, with a front before it that fails as networks do. */

const body = (text: string): Uint8Array => Buffer.from(text);
const textOf = (octets: Uint8Array | undefined): string | undefined => octets && Buffer.from(octets).toString();

async function list(blobs: S3Blobs, prefix = ''): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of blobs.list(prefix)) keys.push(key);
  return keys.sort();
}

if (hasS3('blobs on S3')) {
  let server: TestS3;
  before(async () => {
    server = await startS3();
  });
  after(() => server.close());

  const optionsOf = async (changes: Partial<S3BlobsOptions> = {}): Promise<S3BlobsOptions> => ({
    bucket: changes.bucket ?? (await server.createBucket()),
    prefix: 'angarium/',
    endpoint: server.endpoint,
    region: 'us-east-1',
    pathStyle: true,
    credentialsFile: server.credentialsFile,
    authorityFile: '',
    maxConnections: 20,
    connectTimeoutMs: 1000,
    silenceTimeoutMs: 500,
    callTimeoutMs: 10_000,
    retryMs: [10, 20],
    ...changes,
  });
  const open = async (t: TestContext, changes: Partial<S3BlobsOptions> = {}): Promise<S3Blobs & { readonly bucket: string }> => {
    const options = await optionsOf(changes);
    const blobs = await openS3Blobs(options);
    t.after(() => blobs.close());
    return { ...blobs, bucket: options.bucket };
  };
  const openBehindFront = async (t: TestContext, changes: Partial<S3BlobsOptions> = {}) => {
    const front = await createFront(server.endpoint);
    t.after(() => front.close());
    const repeated: string[] = [];
    const onRepeat = (call: string) => void repeated.push(call);
    return { front, repeated, blobs: await open(t, { endpoint: front.endpoint, onRepeat, ...changes }) };
  };

  blobContract('S3', async () => {
    const front = await createFront(server.endpoint);
    const options = await optionsOf({ endpoint: front.endpoint });
    const opened: S3Blobs[] = [];
    const reopen = async () => {
      const blobs = await openS3Blobs(options);
      opened.push(blobs);
      return blobs;
    };
    const setFull = (isFull: boolean) => {
      front.fault = (method) => (isFull && method === 'PUT' ? { is: 'status', status: 507, code: 'InsufficientStorage' } : undefined);
    };
    const close = async () => {
      for (const blobs of opened) blobs.close();
      await front.close();
    };
    return { blobs: await reopen(), reopen, setFull, close };
  });

  test('a blob is an object under the prefix and its key; another prefix of the bucket is another store', async (t) => {
    const blobs = await open(t);
    const other = await open(t, { bucket: blobs.bucket, prefix: 'other/' });
    await blobs.put('lane/7/id', [body('pl'), body('ain')]);
    assert.equal(await readFile(join(server.folder, blobs.bucket, 'angarium/lane/7/id'), 'utf8'), 'plain');
    assert.equal(await other.get('lane/7/id'), undefined);
    assert.deepEqual(await list(other), []);
    await other.delete('lane/7/id');
    assert.equal(textOf(await blobs.get('lane/7/id')), 'plain');
  });

  test('a listing goes on over pages, also while what it names is deleted', async (t) => {
    const blobs = await open(t);
    const keys = Array.from({ length: 2300 }, (_, at) => `shared/${String(at).padStart(4, '0')}`);
    const folder = join(server.folder, blobs.bucket, 'angarium/shared');
    await mkdir(folder, { recursive: true });
    for (const key of keys) await writeFile(join(server.folder, blobs.bucket, 'angarium', key), 'x');
    const seen: string[] = [];
    for await (const { key, octets } of blobs.list('shared/')) {
      assert.equal(octets, 1);
      seen.push(key);
      if (seen.length % 10 === 0) await blobs.delete(key);
    }
    assert.deepEqual(seen.sort(), keys);
  });

  test('wrong keys are told as such by every call, without a repeat, and no secret is in what is told', async (t) => {
    const right = await readFile(server.credentialsFile, 'utf8');
    const [, secret = ''] = /secret_access_key = (\S+)/.exec(right) ?? [];
    for (const wrong of [right.replace(secret, 'wrong'), right.replace(/key_id = /, 'key_id = x')]) {
      const credentialsFile = join(dirname(server.credentialsFile), 'wrong');
      await writeFile(credentialsFile, wrong);
      const { blobs, repeated } = await openBehindFront(t, { credentialsFile });
      const calls = [blobs.check(), blobs.put('a', body('1')), blobs.get('a'), blobs.delete('a'), list(blobs)];
      for (const { reason } of (await Promise.allSettled<unknown>(calls)) as PromiseRejectedResult[]) {
        assert.ok(reason instanceof BlobStoreRefused, inspect(reason));
        assert.match(reason.message, /the credentials are not accepted/);
        assert.ok(!inspect(reason, { depth: 9, showHidden: true }).includes(secret));
      }
      assert.deepEqual(repeated, []);
    }
  });

  test('credentials that cannot be read are told with their file, not with its contents', async () => {
    const credentialsFile = join(dirname(server.credentialsFile), 'half');
    await writeFile(credentialsFile, 'aws_secret_access_key = hush\n');
    for (const [file, said] of [
      [credentialsFile, /half: wants a line aws_access_key_id/],
      ['/nowhere/keys', /nowhere/],
    ] as const) {
      const failure: unknown = await openS3Blobs(await optionsOf({ credentialsFile: file })).catch((error: unknown) => error);
      assert.ok(failure instanceof BlobStoreRefused && said.test(failure.message), inspect(failure));
      assert.ok(!inspect(failure).includes('hush'));
    }
  });

  test('without a file the credentials are those of the environment; without any the call says so', async (t) => {
    const [key = '', secret = ''] = [...(await readFile(server.credentialsFile, 'utf8')).matchAll(/= (\S+)/g)].map((found) => found[1]);
    const keys = { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret };
    const before = { ...process.env };
    const remove = (...names: string[]) => {
      for (const name of names) delete process.env[name];
    };
    t.after(() => {
      remove(...Object.keys(keys), 'AWS_EC2_METADATA_DISABLED');
      Object.assign(process.env, before);
    });
    Object.assign(process.env, keys, { AWS_EC2_METADATA_DISABLED: 'true' });
    await (await open(t, { credentialsFile: '' })).check();
    remove(...Object.keys(keys));
    await assert.rejects((await open(t, { credentialsFile: '' })).check(), (error: Error) => {
      return error instanceof BlobStoreRefused && /there are no credentials/.test(error.message);
    });
  });

  test('credentials that were changed in their file are used within a minute', async (t) => {
    const credentialsFile = join(dirname(server.credentialsFile), 'changing');
    await writeFile(credentialsFile, await readFile(server.credentialsFile));
    const blobs = await open(t, { credentialsFile });
    mock.timers.enable({ apis: ['Date'], now: Date.now() });
    t.after(() => mock.timers.reset());
    await blobs.check();
    await writeFile(credentialsFile, 'aws_access_key_id = other\naws_secret_access_key = other\n');
    mock.timers.tick(59_000);
    await blobs.check();
    mock.timers.tick(2_000);
    await assert.rejects(blobs.check(), BlobStoreRefused);
    await writeFile(credentialsFile, await readFile(server.credentialsFile));
    mock.timers.tick(61_000);
    await blobs.check();
  });

  test('a missing bucket is told as such by every call: what it held is not unknown', async (t) => {
    const blobs = await open(t, { bucket: 'nowhere' });
    const calls = [blobs.check(), blobs.put('a', body('1')), blobs.get('a'), blobs.delete('a'), list(blobs)];
    for (const { reason } of (await Promise.allSettled<unknown>(calls)) as PromiseRejectedResult[]) {
      assert.ok(reason instanceof BlobStoreRefused, inspect(reason));
      assert.match(reason.message, /there is no bucket nowhere: make it/);
    }
  });

  test('a wrong region is told as such', async (t) => {
    const blobs = await open(t, { region: 'eu-central-1' });
    await assert.rejects(
      blobs.check(),
      (error) => error instanceof BlobStoreRefused && /region is not that of the bucket/.test(error.message),
    );
  });

  test('trouble that passes is repeated with the whole body, and what does not pass is told after the last pause', async (t) => {
    const { front, blobs, repeated } = await openBehindFront(t);
    const pieces = [Buffer.alloc(100_000, 'a'), Buffer.alloc(200_000, 'b')];
    front.fault = (_method, nth) => (nth < 3 ? { is: 'status', status: 503, code: 'SlowDown' } : undefined);
    await blobs.put('a', pieces);
    assert.deepEqual(repeated, ['put', 'put']);
    assert.ok(Buffer.concat(pieces).equals((await blobs.get('a')) ?? body('')));
    front.fault = () => ({ is: 'status', status: 500, code: 'InternalError' });
    const calls = [blobs.put('a', body('new')), blobs.get('a'), blobs.delete('a'), list(blobs)];
    for (const { reason } of (await Promise.allSettled<unknown>(calls)) as PromiseRejectedResult[])
      assert.ok(/InternalError, 500/.test(reason.message) && !(reason instanceof BlobStoreRefused), inspect(reason));
    front.fault = () => undefined;
    assert.equal((await blobs.get('a'))?.length, 300_000);
  });

  test('a body that was changed on the way is refused by the server, and never given to the caller', async (t) => {
    const { front, blobs, repeated } = await openBehindFront(t);
    front.fault = (_method, nth) => (nth === 1 ? { is: 'damageRequest' } : undefined);
    await blobs.put('a', body('as it is'));
    front.fault = (method, nth) => (method === 'GET' && nth === 1 ? { is: 'damageAnswer' } : undefined);
    assert.equal(textOf(await blobs.get('a')), 'as it is');
    assert.deepEqual(repeated, ['put', 'get']);
    front.fault = () => ({ is: 'damageAnswer' });
    await assert.rejects(blobs.get('a'), /Checksum mismatch/);
  });

  test('an answer that is cut is read anew', async (t) => {
    const { front, blobs, repeated } = await openBehindFront(t);
    await blobs.put('a', Buffer.alloc(500_000, 'x'));
    front.fault = (method, nth) => (method === 'GET' && nth < 3 ? { is: 'cutAnswer', octets: 300_000 } : undefined);
    assert.equal((await blobs.get('a'))?.length, 500_000);
    assert.deepEqual(repeated, ['get', 'get']);
  });

  test('a server that does not answer is given up after its silence, and is used again when it does', async (t) => {
    const { front, blobs, repeated } = await openBehindFront(t, { silenceTimeoutMs: 200 });
    front.fault = () => ({ is: 'silence' });
    for (const call of ['put', 'get', 'delete', 'list'] as const) {
      repeated.length = 0;
      const started = {
        put: () => blobs.put('a', body('1')),
        get: () => blobs.get('a'),
        delete: () => blobs.delete('a'),
        list: () => list(blobs),
      };
      await assert.rejects(started[call](), (error: Error) => /TimeoutError/.test(error.message) && !(error instanceof BlobStoreRefused));
      assert.deepEqual(repeated, [call, call]);
    }
    front.fault = () => undefined;
    await blobs.put('a', body('1'));
  });

  test('a call ends with its time, whatever it waits for', async (t) => {
    const { front, blobs } = await openBehindFront(t, { callTimeoutMs: 300, silenceTimeoutMs: 60_000, retryMs: [60_000] });
    front.fault = () => ({ is: 'silence' });
    await assert.rejects(blobs.put('a', body('1')), /not done within 300 ms/);
    front.fault = () => ({ is: 'status', status: 503, code: 'SlowDown' });
    await assert.rejects(blobs.get('a'), /not done within 300 ms/);
    const got = await openBehindFront(t, { callTimeoutMs: 300, silenceTimeoutMs: 60_000 });
    await got.blobs.put('a', Buffer.alloc(500_000));
    got.front.fault = (method) => (method === 'GET' ? { is: 'stopAnswer', octets: 1000 } : undefined);
    await assert.rejects(got.blobs.get('a'), /not done within 300 ms/);
  });

  test('no more connections than allowed, however many calls', async (t) => {
    const { front, blobs } = await openBehindFront(t, { maxConnections: 3 });
    await Promise.all(Array.from({ length: 40 }, (_, at) => blobs.put(`many/${at}`, body('1'))));
    assert.equal(front.peak(), 3);
  });

  test('a call that waits for others is not given up for that, unless its own time ends', async (t) => {
    const { front, blobs, repeated } = await openBehindFront(t, { maxConnections: 1, connectTimeoutMs: 100, silenceTimeoutMs: 5000 });
    front.fault = () => ({ is: 'delay', ms: 400 });
    await Promise.all([blobs.put('a', body('1')), blobs.put('b', body('2')), blobs.delete('nope')]);
    assert.deepEqual(repeated, []);
    const hasty = await openBehindFront(t, { maxConnections: 1, callTimeoutMs: 600, silenceTimeoutMs: 5000 });
    hasty.front.fault = (_method, nth) => (nth === 1 ? { is: 'silence' } : undefined);
    const stuck = assert.rejects(hasty.blobs.put('a', body('1')), /not done within 600 ms/);
    await assert.rejects(hasty.blobs.put('b', body('2')), /not done within 600 ms/);
    await stuck;
    await hasty.blobs.put('b', body('2'));
    assert.equal(hasty.front.seen.length, 2);
  });

  test('TLS: the server must be signed by the authority of the file', async (t) => {
    const folder = dirname(server.credentialsFile);
    const files = { certificateFile: join(folder, 'certificate.pem'), keyFile: join(folder, 'key.pem') };
    await writeFile(files.certificateFile, testTls.cert);
    await writeFile(files.keyFile, testTls.key);
    const secure = await startS3(files);
    t.after(() => secure.close());
    const { endpoint, credentialsFile } = secure;
    const bucket = await secure.createBucket();
    const blobs = await open(t, { endpoint, credentialsFile, bucket, authorityFile: files.certificateFile });
    await blobs.put('a', body('over TLS'));
    assert.equal(textOf(await blobs.get('a')), 'over TLS');
    const stranger = await open(t, { endpoint, credentialsFile, bucket });
    await assert.rejects(
      stranger.put('a', body('2')),
      (error: Error) => error instanceof BlobStoreRefused && /certificate/.test(error.message),
    );
    await assert.rejects(openS3Blobs(await optionsOf({ authorityFile: '/nowhere/ca.pem' })), /authorities of S3 cannot be read/);
  });

  test('a server that is killed in the middle of a put keeps the old body whole, and a repeat goes well', {
    timeout: 60_000,
  }, async (t) => {
    const { front, blobs } = await openBehindFront(t);
    await blobs.put('replaced', body('old'));
    for (const key of ['fresh', 'replaced']) {
      const killed = Promise.withResolvers<void>();
      const then = () => void server.kill().then(killed.resolve, killed.reject);
      front.fault = (method) => (method === 'PUT' ? { is: 'stopRequest', octets: 2_000_000, then } : undefined);
      await assert.rejects(
        blobs.put(key, [Buffer.alloc(1_000_000, 'n'), Buffer.alloc(3_000_000, 'n')]),
        (error: Error) => !(error instanceof BlobStoreFull),
      );
      await killed.promise;
      await server.start();
      front.fault = () => undefined;
      assert.equal(textOf(await blobs.get(key)), key === 'fresh' ? undefined : 'old');
      assert.deepEqual(await list(blobs), key === 'fresh' ? ['replaced'] : ['fresh', 'replaced']);
      await blobs.put(key, Buffer.alloc(4_000_000, 'r'));
      assert.equal((await blobs.get(key))?.length, 4_000_000);
    }
  });

  test('a put that waits out a server that is started again goes well by itself', async (t) => {
    const blobs = await open(t, { retryMs: Array.from({ length: 10 }, () => 200) });
    await server.kill();
    const put = blobs.put('a', [body('pa'), body('tient')]);
    await server.start();
    await put;
    assert.equal(textOf(await blobs.get('a')), 'patient');
  });
}
