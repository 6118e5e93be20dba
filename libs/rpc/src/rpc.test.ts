import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connectDirectory, connectDirectoryAdmin, connectMailbox } from './client.ts';
import { type DeliverResponse, DeliverResult } from './gen/angarium/mailbox/v1/mailbox.ts';
import { type Directory, type DirectoryAdmin, type Mailbox, Refused, Unavailable } from './ports.ts';
import { type RpcServices, serveRpc } from './server.ts';

const folder = await mkdtemp(join(tmpdir(), 'rpc-'));
after(() => rm(folder, { recursive: true }));
let sockets = 0;

async function serve(services: RpcServices, address = `unix:${folder}/${sockets++}.sock`) {
  const faults: unknown[] = [];
  const server = await serveRpc({ address, services, onFault: (error) => faults.push(error) });
  return { address, faults, close: () => server.close() };
}
const timeoutMs = 2000;
const delivery = (queueId: string) => ({
  id: 0,
  queueId,
  reversePath: '',
  content: Buffer.from('x'),
  recipients: [{ account: 'a@b', address: 'a@b', quotaOctets: 0 }],
  acceptedAtMs: 0,
  traceparent: '',
});

test('a unary call carries request and response', async () => {
  const directory = { check: async (request) => ({ results: request.forwardPaths.map(() => 1) }) } as Directory;
  const server = await serve({ directory });
  const client = await connectDirectory({ address: server.address, timeoutMs });
  assert.deepEqual((await client.check({ forwardPaths: ['a@b', 'c@d'] })).results, [1, 1]);
  client.close();
  await server.close();
});

test('a refusal keeps its reason and text; a fault keeps its text to itself', async () => {
  const directoryAdmin = {
    removeDomain: async () => Promise.reject(new Refused('notFound', 'no domain x')),
    removeAlias: async () => Promise.reject(new Error('secret')),
    listDomains: async () => ({ domains: [] }),
  } as Partial<DirectoryAdmin> as DirectoryAdmin;
  const server = await serve({ directoryAdmin });
  const client = await connectDirectoryAdmin({ address: server.address, timeoutMs });
  await assert.rejects(client.removeDomain({ name: 'x' }), { name: 'Refused', reason: 'notFound', message: 'no domain x' });
  await assert.rejects(
    client.removeAlias({ address: 'x' }),
    (error: Error) => error instanceof Unavailable && !/secret/.test(error.message),
  );
  assert.deepEqual(await client.listDomains(), { domains: [] });
  assert.equal(server.faults.length, 1);
  client.close();
  await server.close();
});

test('calls go to all servers by turns; one that goes costs no call, and one that comes back is used again', {
  timeout: 20_000,
}, async (t) => {
  const counts = [0, 0, 0];
  const start = (at: number, port: number) => {
    const directory = {
      check: async () => {
        counts[at] = (counts[at] ?? 0) + 1;
        return { results: [1] };
      },
    } as Partial<Directory> as Directory;
    return serveRpc({ address: `127.0.0.1:${port}`, services: { directory }, onFault: () => {} });
  };
  const servers = await Promise.all(counts.map((_, at) => start(at, 0)));
  const client = await connectDirectory({ address: servers.map(({ port }) => `127.0.0.1:${port}`).join(','), timeoutMs });
  t.after(async () => {
    client.close();
    await Promise.all(servers.map((server) => server.close()));
  });
  const ask = async (times: number) => {
    counts.fill(0);
    for (let asked = 0; asked < times; asked++) assert.deepEqual(await client.check({ forwardPaths: ['a@b'] }), { results: [1] });
    return counts.join();
  };
  const untilAsked = async (wanted: string) => {
    while ((await ask(30)) !== wanted) {}
  };
  await untilAsked('10,10,10');
  const port = servers[1]?.port ?? 0;
  await servers[1]?.close();
  await untilAsked('15,0,15');
  servers[1] = await start(1, port);
  await untilAsked('10,10,10');
});

test('a service that is not there is Unavailable within the time-out', async () => {
  const client = await connectDirectory({ address: `unix:${folder}/none.sock`, timeoutMs: 300 });
  await assert.rejects(client.check({ forwardPaths: [] }), Unavailable);
  client.close();
});

test('deliveries are matched to their answers whatever their order', async () => {
  const waiting: (() => void)[] = [];
  const mailbox: Mailbox = {
    deliver: ({ id, queueId }) =>
      new Promise((resolve) => {
        waiting.unshift(() => resolve({ id, results: [queueId === 'bad' ? DeliverResult.OVER_QUOTA : DeliverResult.STORED] }));
        if (waiting.length === 3) for (const answer of waiting) answer();
      }),
  };
  const server = await serve({ mailbox });
  const client = await connectMailbox({ address: server.address, timeoutMs });
  const answers = await Promise.all(['a', 'bad', 'c'].map((queueId) => client.deliver(delivery(queueId))));
  assert.deepEqual(
    answers.map(({ results }) => results),
    [[DeliverResult.STORED], [DeliverResult.OVER_QUOTA], [DeliverResult.STORED]],
  );
  client.close();
  await server.close();
});

test('deliveries on a broken stream are Unavailable, and the next one opens a new stream', async () => {
  const silent = await serve({ mailbox: { deliver: () => new Promise(() => {}) } });
  const client = await connectMailbox({ address: silent.address, timeoutMs: 20_000 });
  const lost = assert.rejects(client.deliver(delivery('a')), Unavailable);
  await silent.close();
  await lost;
  const server = await serve({ mailbox: { deliver: async ({ id }) => ({ id, results: [DeliverResult.STORED] }) } }, silent.address);
  const retry = async (): Promise<DeliverResponse> => client.deliver(delivery('a')).catch(retry);
  assert.deepEqual((await retry()).results, [DeliverResult.STORED]);
  client.close();
  await server.close();
});

test('a socket left by a killed process is replaced, and only its owner may use the new one', async () => {
  const first = await serve({});
  const second = await serve({}, first.address);
  assert.equal((await stat(first.address.slice('unix:'.length))).mode & 0o777, 0o600);
  await second.close();
  await first.close();
});

test('a delivery to a host that has fallen silent is given up by the keepalive, long before its time-out', async (t) => {
  const mailbox: Mailbox = {
    deliver: ({ id, recipients }) => Promise.resolve({ id, results: recipients.map(() => DeliverResult.STORED) }),
  };
  const server = await serve({ mailbox });
  let isSilent = false;
  const proxy = createServer((near) => {
    const far = connect(server.address.slice('unix:'.length));
    near.on('data', (chunk) => isSilent || far.write(chunk));
    far.on('data', (chunk) => isSilent || near.write(chunk));
    near.on('error', () => {}).on('close', () => far.destroy());
    far.on('error', () => {}).on('close', () => near.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  const client = await connectMailbox({ address: `127.0.0.1:${port}`, timeoutMs: 60_000, keepaliveMs: 200 });
  t.after(async () => {
    client.close();
    proxy.close();
    await server.close();
  });
  await client.deliver(delivery('A'));
  isSilent = true;
  await assert.rejects(client.deliver(delivery('B')), Unavailable);
  isSilent = false;
  assert.deepEqual((await client.deliver(delivery('B'))).results, [DeliverResult.STORED]);
});
