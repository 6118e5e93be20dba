import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect } from 'node:tls';
import { Client, credentials } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { service as healthService, protoPath } from 'grpc-health-check';
import { generate } from 'selfsigned';
import { connectDirectory, connectMailbox } from './client.ts';
import { DeliverResult } from './gen/angarium/mailbox/v1/mailbox.ts';
import { type Directory, type Mailbox, Unavailable } from './ports.ts';
import { serveRpc } from './server.ts';

/* What a cluster needs of calls: certificates that change, connections that age, servers that share the work, and the usual services. */

const folder = await mkdtemp(join(tmpdir(), 'rpc-cluster-'));
after(() => rm(folder, { recursive: true }));
const timeoutMs = 3000;
const onFault = (error: unknown) => assert.fail(String(error));

async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  for (const startedMs = performance.now(); !(await is()); ) {
    assert.ok(performance.now() - startedMs < 10_000, 'not within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const pair = (name: string) =>
  generate([{ name: 'commonName', value: name }], {
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: name }] },
    ],
  });
const PEERS = 'peers.test';

/** Files of one process; the certificates of `trusted` are its authorities. */
async function writeFiles(name: string, own: Awaited<ReturnType<typeof pair>>, trusted: readonly { cert: string }[]) {
  const at = (file: string) => join(folder, `${name}.${file}`);
  await writeFile(at('crt'), own.cert);
  await writeFile(at('key'), own.private);
  await writeFile(at('ca'), trusted.map(({ cert }) => cert).join('\n'));
  return { certificateFile: at('crt'), keyFile: at('key'), authorityFile: at('ca'), reloadMs: 20 };
}

const directory = { check: async () => ({ results: [1] }) } as unknown as Directory;

/** Serial number of the certificate that is served now. */
function servedSerial(port: number, own: { cert: string; private: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { port, host: '127.0.0.1', cert: own.cert, key: own.private, rejectUnauthorized: false, ALPNProtocols: ['h2'] },
      () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      },
    );
    socket.once('error', reject);
  });
}

test('peers are called by address and known by the name in their certificate; renewed files are used without a restart, broken ones are not', async () => {
  const [first, second, client] = [await pair(PEERS), await pair(PEERS), await pair(PEERS)];
  const broken: unknown[] = [];
  const tls = { ...(await writeFiles('server', first, [client])), onBroken: (error: unknown) => void broken.push(error) };
  const server = await serveRpc({ address: '127.0.0.1:0', services: { directory }, onFault, tls });
  const of = async (trusted: readonly { cert: string }[], peerName: string | undefined = PEERS) => {
    const files = { ...(await writeFiles(`client${Math.random()}`, client, trusted)), peerName };
    return connectDirectory({ address: `127.0.0.1:${server.port}`, timeoutMs, tls: files });
  };
  const known = await of([first, second]);
  assert.deepEqual((await known.check({ forwardPaths: [] })).results, [1]);
  const nameless = await of([first, second], 'others.test');
  await assert.rejects(nameless.check({ forwardPaths: [] }), Unavailable);
  const before = await servedSerial(server.port, client);
  await writeFile(tls.certificateFile, 'no certificate');
  await until(() => broken.length > 0);
  assert.equal(await servedSerial(server.port, client), before);
  await writeFiles('server', second, [client]);
  await until(async () => (await servedSerial(server.port, client)) !== before);
  const renewed = await of([second]);
  assert.deepEqual((await renewed.check({ forwardPaths: [] })).results, [1]);
  assert.deepEqual((await known.check({ forwardPaths: [] })).results, [1]);
  for (const one of [known, nameless, renewed]) one.close();
  await server.close();
});

test('a client that is not known is not served', async () => {
  const [own, stranger] = [await pair(PEERS), await pair(PEERS)];
  const server = await serveRpc({ address: '127.0.0.1:0', services: { directory }, onFault, tls: await writeFiles('strict', own, [own]) });
  const files = { ...(await writeFiles('stranger', stranger, [own])), peerName: PEERS };
  const client = await connectDirectory({ address: `127.0.0.1:${server.port}`, timeoutMs: 1000, tls: files });
  await assert.rejects(client.check({ forwardPaths: [] }), Unavailable);
  client.close();
  await server.close();
});

const delivery = (queueId: string) => ({
  ...{ id: 0, queueId, reversePath: '', content: Buffer.from('x'), acceptedAtMs: 0, traceparent: '' },
  recipients: [{ account: 'a@b', address: 'a@b', quotaOctets: 0 }],
});

/** A mailbox that counts what it is brought, and takes its time. */
function createMailbox(delayMs: () => number) {
  const seen: string[] = [];
  const mailbox: Mailbox = {
    deliver: async ({ id, queueId }) => {
      seen.push(queueId);
      await new Promise((resolve) => setTimeout(resolve, delayMs()));
      return { id, results: [DeliverResult.STORED] };
    },
  };
  return { seen, mailbox };
}

test('connections that are given up for their age cost no call and no delivery', { timeout: 60_000 }, async () => {
  const { seen, mailbox } = createMailbox(() => 20);
  const services = { directory, mailbox };
  const server = await serveRpc({ address: '127.0.0.1:0', services, onFault, maxConnectionAgeMs: 200 });
  const address = `127.0.0.1:${server.port}`;
  const [asker, bringer] = [await connectDirectory({ address, timeoutMs }), await connectMailbox({ address, timeoutMs })];
  const untilMs = performance.now() + 3000;
  let brought = 0;
  const work = async () => {
    while (performance.now() < untilMs) {
      const [asked, { results }] = await Promise.all([asker.check({ forwardPaths: [] }), bringer.deliver(delivery(`q${brought++}`))]);
      assert.deepEqual([asked.results, results], [[1], [DeliverResult.STORED]]);
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
  assert.equal(seen.length, brought);
  assert.ok(brought > 200, `${brought}`);
  for (const client of [asker, bringer]) client.close();
  await server.close();
});

test('several mailbox processes share the deliveries of one client, and a slow one holds up its own alone', async () => {
  let slowMs = 1;
  const [one, other] = [createMailbox(() => 1), createMailbox(() => slowMs)];
  const servers = await Promise.all(
    [one, other].map(({ mailbox }) => serveRpc({ address: '127.0.0.1:0', services: { mailbox }, onFault })),
  );
  const client = await connectMailbox({ address: servers.map(({ port }) => `127.0.0.1:${port}`).join(','), timeoutMs });
  // Both are connected once each has had something.
  for (let at = 0; one.seen.length === 0 || other.seen.length === 0; at += 64)
    await Promise.all(Array.from({ length: 64 }, (_, number) => client.deliver(delivery(`warm${at + number}`))));
  const [oneBefore, otherBefore] = [one.seen.length, other.seen.length];
  for (let round = 0; round < 20; round++)
    await Promise.all(Array.from({ length: 64 }, (_, at) => client.deliver(delivery(`q${round}.${at}`))));
  const shares = [one.seen.length - oneBefore, other.seen.length - otherBefore];
  for (const share of shares) assert.ok(share >= 20 * 64 * 0.35, shares.join(', '));
  slowMs = 1000;
  const answered: number[] = [];
  const all = Array.from({ length: 256 }, (_, at) => client.deliver(delivery(`s${at}`)).then(() => answered.push(performance.now())));
  const startedMs = performance.now();
  await Promise.all(all);
  const quick = answered.filter((atMs) => atMs - startedMs < 500).length;
  assert.ok(quick >= 100 && quick < 256, `${quick} of 256 were not held up`);
  client.close();
  await Promise.all(servers.map((server) => server.close()));
});

test('the health service follows the process, for the whole and for each service, and says no when it stops', async () => {
  let isReady = false;
  const server = await serveRpc({ address: '127.0.0.1:0', services: { directory }, onFault, isReady: () => isReady });
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const { Check } = healthService as unknown as Record<
    'Check',
    { path: string; requestSerialize(value: object): Buffer; responseDeserialize(octets: Buffer): { status: string } }
  >;
  const status = (service: string) =>
    new Promise<string>((resolve, reject) =>
      client.makeUnaryRequest(Check.path, Check.requestSerialize, Check.responseDeserialize, { service }, (error, answer) =>
        error ? reject(error) : resolve(answer?.status ?? ''),
      ),
    );
  const names = ['', 'angarium.directory.v1.Directory'];
  assert.deepEqual(await Promise.all(names.map(status)), ['NOT_SERVING', 'NOT_SERVING']);
  isReady = true;
  await until(async () => (await status('')) === 'SERVING');
  assert.equal(await status('angarium.directory.v1.Directory'), 'SERVING');
  await assert.rejects(status('another'), /NOT_FOUND/);
  client.close();
  await server.close();
  assert.ok(protoPath);
});

test('reflection names the services that are there', async () => {
  const server = await serveRpc({ address: '127.0.0.1:0', services: { directory }, onFault, withReflection: true });
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const file = new URL('../../../node_modules/@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto', import.meta.url).pathname;
  const definition = loadSync(file)['grpc.reflection.v1.ServerReflection'] as unknown as Record<
    'ServerReflectionInfo',
    {
      path: string;
      requestSerialize(value: object): Buffer;
      responseDeserialize(octets: Buffer): { listServicesResponse?: { service: { name: string }[] } };
    }
  >;
  const { path, requestSerialize, responseDeserialize } = definition.ServerReflectionInfo;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const names = await new Promise<string[]>((resolve, reject) => {
    stream.once('error', reject);
    stream.once('data', (answer: { listServicesResponse?: { service: { name: string }[] } }) =>
      resolve((answer.listServicesResponse?.service ?? []).map(({ name }) => name)),
    );
    stream.write({ listServices: '' });
  });
  stream.end();
  assert.ok(names.includes('angarium.directory.v1.Directory'), names.join());
  client.close();
  await server.close();
});
