import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { BrokerConnection, BrokerTrouble } from './connection.ts';

const API_VERSIONS = 18;
const METADATA = 3;

interface Answering {
  readonly port: number;
  readonly requests: number[];
}

/** Speaks Kafka's framing: answers the handshake, and what `answer` gives for the rest. */
async function startBroker(t: TestContext, answer: (apiKey: number, socket: Socket) => Buffer | undefined): Promise<Answering> {
  const requests: number[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let octets = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (part) => {
      octets = Buffer.concat([octets, part]);
      while (octets.length >= 4 && octets.length >= 4 + octets.readInt32BE(0)) {
        const end = 4 + octets.readInt32BE(0);
        const apiKey = octets.readInt16BE(4);
        requests.push(apiKey);
        const body = apiKey === API_VERSIONS ? handshake() : answer(apiKey, socket);
        if (body) socket.write(Buffer.concat([int32(4 + body.length), octets.subarray(8, 12), body]));
        octets = octets.subarray(end);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, requests };
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

/** Versions 0 to 6 of Metadata, and nothing else. */
function handshake(): Buffer {
  const buffer = Buffer.alloc(2 + 4 + 6 + 4);
  buffer.writeInt32BE(1, 2);
  buffer.writeInt16BE(METADATA, 6);
  buffer.writeInt16BE(6, 10);
  return buffer;
}

const ACCESS = { clientId: 'test', connectTimeoutMs: 1000 };
const own = (payload: (octets: Buffer) => number) => ({
  ...({ apiName: 'Produce', apiVersion: 7, body: Buffer.from('body') } as const),
  decode: payload,
});
const trouble = (o: { isSent: boolean; isSilent: boolean }) => (error: unknown) =>
  error instanceof BrokerTrouble && error.isSent === o.isSent && error.isSilent === o.isSilent;

test('what we use of kafkajs is where this release has it', async (t) => {
  const { port, requests } = await startBroker(t, (apiKey) => (apiKey === METADATA ? Buffer.alloc(18) : int32(42)));
  const connection = new BrokerConnection({ host: '127.0.0.1', port }, ACCESS);
  t.after(() => connection.close());
  assert.deepEqual(await connection.call('Metadata', { topics: [], allowAutoTopicCreation: false }, 1000), {
    ...{ throttleTime: 0, clientSideThrottleTime: 0, brokers: [], clusterId: '', controllerId: 0, topicMetadata: [] },
  });
  assert.equal(
    await connection.ask(
      own((octets) => octets.readInt32BE(0)),
      1000,
    ),
    42,
  );
  assert.deepEqual(requests, [API_VERSIONS, METADATA, 0]);
});

test('an idle connection burns no timers', async (t) => {
  const { port } = await startBroker(t, () => int32(1));
  const connection = new BrokerConnection({ host: '127.0.0.1', port }, ACCESS);
  t.after(() => connection.close());
  await connection.ask(
    own(() => 1),
    1000,
  );
  assert.deepEqual(
    process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout'),
    [],
  );
});

test('requests go one at a time, in order', async (t) => {
  const answers: (() => void)[] = [];
  const { port, requests } = await startBroker(t, (_apiKey, socket) => {
    answers.push(() => socket.write(Buffer.concat([int32(8), int32(answers.length - 1 + 1), int32(answers.length)])));
    return undefined;
  });
  const connection = new BrokerConnection({ host: '127.0.0.1', port }, ACCESS);
  t.after(() => connection.close());
  const first = connection.ask(
    own((octets) => octets.readInt32BE(0)),
    1000,
  );
  const second = connection.ask(
    own((octets) => octets.readInt32BE(0)),
    1000,
  );
  while (answers.length < 1) await new Promise(setImmediate);
  assert.deepEqual(requests, [API_VERSIONS, 0]);
  answers[0]?.();
  assert.equal(await first, 1);
  while (answers.length < 2) await new Promise(setImmediate);
  answers[1]?.();
  assert.equal(await second, 2);
});

test('no answer in time is silence in doubt; who waited behind it was not sent', async (t) => {
  const { port } = await startBroker(t, () => undefined);
  const connection = new BrokerConnection({ host: '127.0.0.1', port }, ACCESS);
  t.after(() => connection.close());
  const first = connection.ask(
    own(() => 1),
    100,
  );
  const second = connection.ask(
    own(() => 1),
    100,
  );
  await assert.rejects(first, trouble({ isSent: true, isSilent: true }));
  await assert.rejects(second, trouble({ isSent: false, isSilent: true }));
});

test('a connection that breaks leaves its request in doubt, and the next one opens another', async (t) => {
  let isFirst = true;
  const { port } = await startBroker(t, (_apiKey, socket) => {
    if (!isFirst) return int32(7);
    isFirst = false;
    socket.destroy();
    return undefined;
  });
  const connection = new BrokerConnection({ host: '127.0.0.1', port }, ACCESS);
  t.after(() => connection.close());
  await assert.rejects(
    connection.ask(
      own(() => 1),
      1000,
    ),
    trouble({ isSent: true, isSilent: false }),
  );
  assert.equal(
    await connection.ask(
      own((octets) => octets.readInt32BE(0)),
      1000,
    ),
    7,
  );
});

test('where nobody listens nothing was sent; nor after a close', async () => {
  const connection = new BrokerConnection({ host: '127.0.0.1', port: 1 }, ACCESS);
  await assert.rejects(
    connection.ask(
      own(() => 1),
      1000,
    ),
    trouble({ isSent: false, isSilent: false }),
  );
  connection.close();
  await assert.rejects(
    connection.ask(
      own(() => 1),
      1000,
    ),
    trouble({ isSent: false, isSilent: false }),
  );
});

test('a close ends what is on its way', async (t) => {
  const { port, requests } = await startBroker(t, () => undefined);
  const connection = new BrokerConnection({ host: '127.0.0.1', port }, ACCESS);
  const pending = connection.ask(
    own(() => 1),
    10_000,
  );
  while (requests.length < 2) await new Promise(setImmediate);
  connection.close();
  await assert.rejects(pending, trouble({ isSent: true, isSilent: false }));
});
