import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppendFailed } from '../port.ts';
import { BrokerTrouble } from './connection.ts';
import { type Answer, createFakeCluster, refusal, silence } from './fixtures/fake-cluster.ts';
import type { Produced } from './messages.ts';
import { decodeRecordBatches } from './record-batch.ts';
import { Writer, type WriterOptions } from './writer.ts';

const text = (value: string): Uint8Array => Buffer.from(value);
const IN = 'mail.in';
const NOT_ENOUGH_REPLICAS = 19;
const NOT_LEADER = 6;
const MESSAGE_TOO_LARGE = 10;

const OPTIONS: WriterOptions = {
  ...{ maxBufferedOctets: 10_000_000, appendTimeoutMs: 2000, requestTimeoutMs: 500, connectionsPerBroker: 1 },
  logger: { info: () => {}, warn: () => {}, error: () => {} },
  observe: () => {},
  observeRepeat: () => {},
};

interface Call {
  readonly node: number;
  readonly batches: readonly { readonly topic: string; readonly partition: number; readonly values: readonly string[] }[];
}

/** Reads our own request back: acks, time limit, topics, partitions, batches. */
function parse(node: number, body: Buffer): Call {
  const batches: { topic: string; partition: number; values: string[] }[] = [];
  let at = 8;
  const int32 = () => {
    at += 4;
    return body.readInt32BE(at - 4);
  };
  for (let topics = int32(); topics > 0; topics--) {
    const size = body.readInt16BE(at);
    const topic = body.toString('utf8', at + 2, at + 2 + size);
    at += 2 + size;
    for (let partitions = int32(); partitions > 0; partitions--) {
      const partition = int32();
      const octets = int32();
      const records = decodeRecordBatches(body.subarray(at, at + octets), { from: 0, maxOctets: Number.POSITIVE_INFINITY }, topic);
      batches.push({ topic, partition, values: records.map(({ value }) => Buffer.from(value).toString()) });
      at += octets;
    }
  }
  return { node, batches };
}

type Reply = (call: Call) => readonly Produced[] | Error | Promise<readonly Produced[] | Error>;

function createBench(leaders: number[], reply: Reply, changes: Partial<WriterOptions> = {}) {
  const calls: Call[] = [];
  const answer: Answer = async ({ node, args }) => {
    const call = parse(node, (args as { body: Buffer }).body);
    calls.push(call);
    const given = await reply(call);
    if (given instanceof Error) throw given;
    return given;
  };
  const cluster = createFakeCluster(leaders, answer);
  return { calls, cluster, writer: new Writer(cluster, { ...OPTIONS, ...changes }) };
}

const all = ({ batches }: Call, errorCode = 0, baseOffset = 100): readonly Produced[] =>
  batches.map(({ topic, partition }) => ({ topic, partition, errorCode, baseOffset }));

/** One reply a call, the last one again and again. */
function inTurn(...replies: Reply[]): Reply {
  let at = 0;
  return (call) => (replies[Math.min(at++, replies.length - 1)] as Reply)(call);
}

const failed = (reason: AppendFailed['reason'], inDoubt: boolean) => (error: unknown) =>
  error instanceof AppendFailed && error.reason === reason && error.inDoubt === inDoubt;

test('an answer that does not name the partition acknowledges nothing: the batch goes out again', async () => {
  const { writer, calls } = createBench(
    [1, 1],
    inTurn(
      () => [],
      (call) => all(call, 0, 7),
    ),
  );
  assert.equal(await writer.append(IN, 0, [text('a')]), 7);
  assert.equal(calls.length, 2);
});

test('an answer about another partition, or without an offset, acknowledges nothing', async () => {
  const other: Reply = () => [{ topic: IN, partition: 1, errorCode: 0, baseOffset: 5 }];
  const { writer, calls } = createBench(
    [1, 1],
    inTurn(
      other,
      (call) => all(call, 0, -1),
      (call) => all(call, 0, 9),
    ),
  );
  assert.equal(await writer.append(IN, 0, [text('a')]), 9);
  assert.equal(calls.length, 3);
});

test('what waits goes out together, in order, when the call before it has ended', async () => {
  const held = Promise.withResolvers<void>();
  const first: Reply = async (call) => {
    await held.promise;
    return all(call, 0, 0);
  };
  const { writer, calls } = createBench(
    [1, 1],
    inTurn(first, (call) => all(call, 0, 10)),
  );
  const appends = ['a', 'b', 'c'].map((value) => writer.append(IN, 0, [text(value)]));
  const beside = writer.append(IN, 1, [text('x'), text('y')]);
  held.resolve();
  assert.deepEqual(await Promise.all(appends), [0, 10, 11]);
  assert.equal(await beside, 10);
  const values = calls.map(({ batches }) => batches.map(({ partition, values: some }) => `${partition}:${some.join('')}`).toSorted());
  assert.deepEqual(values, [['0:a'], ['0:bc', '1:xy']]);
});

test('partitions of several leaders never share a call', async () => {
  const { writer, calls } = createBench([1, 2, 1, 2], (call) => all(call));
  await Promise.all(Array.from({ length: 40 }, (_, at) => writer.append(IN, at % 4, [text('a')])));
  for (const { node, batches } of calls) for (const { partition } of batches) assert.equal(partition % 2, node - 1);
});

test('one partition that fails fails alone', async () => {
  const held = Promise.withResolvers<void>();
  const mixed: Reply = ({ batches }) =>
    batches.map(({ topic, partition }) => ({ topic, partition, errorCode: partition === 1 ? MESSAGE_TOO_LARGE : 0, baseOffset: 3 }));
  const first: Reply = async (call) => {
    await held.promise;
    return all(call, 0, 0);
  };
  const { writer } = createBench([1, 1, 1], inTurn(first, mixed));
  const opening = writer.append(IN, 2, [text('first')]);
  const good = writer.append(IN, 0, [text('good')]);
  const bad = writer.append(IN, 1, [text('bad')]);
  held.resolve();
  await opening;
  assert.equal(await good, 3);
  await assert.rejects(bad, failed('failed', false));
});

test('a broker that does not answer is left for the new leader', async () => {
  const { writer, calls, cluster } = createBench([1], ({ node, batches }) => (node === 1 ? silence() : all({ node, batches }, 0, 4)));
  cluster.refreshed.add(() => {
    cluster.leaders[0] = 2;
  });
  assert.equal(await writer.append(IN, 0, [text('a')]), 4);
  assert.deepEqual(
    calls.map(({ node }) => node),
    [1, 2],
  );
  assert.deepEqual(cluster.suspects, [1]);
});

test('doubt is told as it is: refused connections and missing replicas leave none, silence and moved leaders do', async () => {
  const ends: readonly (readonly [Reply, boolean])[] = [
    [() => refusal(), false],
    [(call) => all(call, NOT_ENOUGH_REPLICAS), false],
    [() => silence(), true],
    [(call) => all(call, NOT_LEADER), true],
    [
      inTurn(
        () => silence(),
        (call) => all(call, NOT_ENOUGH_REPLICAS),
      ),
      true,
    ],
  ];
  for (const [reply, inDoubt] of ends) {
    const { writer } = createBench([1], reply, { appendTimeoutMs: 300 });
    await assert.rejects(writer.append(IN, 0, [text('a')]), failed('failed', inDoubt));
  }
});

test('without a leader an append waits for one, and fails without doubt when its time is over', async () => {
  const { writer, cluster, calls } = createBench([-1], (call) => all(call, 0, 1));
  const append = writer.append(IN, 0, [text('a')]);
  cluster.leaders[0] = 1;
  assert.equal(await append, 1);
  cluster.leaders[0] = -1;
  const other = createBench([-1], (call) => all(call), { appendTimeoutMs: 300 });
  await assert.rejects(other.writer.append(IN, 0, [text('a')]), failed('failed', false));
  assert.equal(calls.length, 1);
});

test('a late answer does not bring back what has failed, and the partition goes on', async () => {
  const late = Promise.withResolvers<void>();
  const first: Reply = async (call) => {
    await late.promise;
    return all(call, 0, 0);
  };
  const { writer } = createBench(
    [1],
    inTurn(first, (call) => all(call, 0, 1)),
    { appendTimeoutMs: 300 },
  );
  await assert.rejects(writer.append(IN, 0, [text('a')]), failed('failed', true));
  const next = writer.append(IN, 0, [text('b')]);
  late.resolve();
  assert.equal(await next, 1);
});

test('a full buffer refuses without doubt, and has room again when something was written', async () => {
  const held = Promise.withResolvers<void>();
  const reply: Reply = async (call) => {
    await held.promise;
    return all(call);
  };
  const { writer } = createBench([1], reply, { maxBufferedOctets: 1000 });
  const kept = writer.append(IN, 0, [new Uint8Array(800)]);
  await assert.rejects(writer.append(IN, 0, [new Uint8Array(800)]), failed('full', false));
  held.resolve();
  await kept;
  await writer.append(IN, 0, [new Uint8Array(800)]);
});

test('a close lets what is on its way end, and fails the rest as closed', async () => {
  const { writer } = createBench([1, -1], (call) => all(call, 0, 2));
  const written = writer.append(IN, 0, [text('a')]);
  const stuck = assert.rejects(writer.append(IN, 1, [text('b')]), failed('closed', false));
  await writer.close();
  assert.equal(await written, 2);
  await stuck;
  await assert.rejects(writer.append(IN, 0, [text('c')]), failed('closed', false));
});

test('any partition: the one that fills, then idle ones, and none of a broker that is avoided or slow', async () => {
  const held = Promise.withResolvers<void>();
  const reply: Reply = async (call) => {
    await held.promise;
    return all(call);
  };
  const { writer, cluster } = createBench([1, 1, 2, 2], reply);
  cluster.suspect(2, new BrokerTrouble('down', { isSent: false, isSilent: true }));
  const chosen = new Set<number>();
  const append = () => {
    const partition = writer.anyPartition(IN);
    chosen.add(partition);
    return writer.append(IN, partition, [text('a')]);
  };
  const appends = Array.from({ length: 10 }, append);
  assert.ok([...chosen].every((partition) => partition < 2));
  assert.ok(chosen.size <= 2, 'what waits fills one batch');
  held.resolve();
  await Promise.all(appends);
});
