import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { OffsetGap } from '../port.ts';
import { type Answer, createFakeCluster, silence } from './fixtures/fake-cluster.ts';
import type { FetchResponse } from './messages.ts';
import { Reads } from './reads.ts';
import { encodeRecordBatch } from './record-batch.ts';
import { Subscriptions } from './subscriptions.ts';

const TOPIC = 'mail.lane';
const OUT_OF_RANGE = 1;
const NOT_LEADER = 6;
const OPTIONS = { requestTimeoutMs: 1000, fetchWaitMs: 50, readAheadOctets: 1_000_000, timeoutMs: 1000 };
const logger = { info: () => {}, warn: () => {}, error: () => {} };

interface Asked {
  readonly purpose: string;
  readonly node: number;
  readonly waitMs: number;
  readonly partitions: readonly { readonly partition: number; readonly offset: number }[];
}

/** Reads our own request back. */
function parse(body: Buffer): Pick<Asked, 'waitMs' | 'partitions'> {
  const partitions: { partition: number; offset: number }[] = [];
  let at = 29;
  for (let left = body.readInt32BE(25); left > 0; left--) {
    at += 2 + body.readInt16BE(at) + 4;
    partitions.push({ partition: body.readInt32BE(at), offset: Number(body.readBigInt64BE(at + 8)) });
    at += 28;
  }
  return { waitMs: body.readInt32BE(4), partitions };
}

function batchAt(base: number, values: readonly string[]): Buffer {
  const batch = encodeRecordBatch(values.map((value) => Buffer.from(value)));
  batch.writeBigInt64BE(BigInt(base), 0);
  return batch;
}

/** Brokers over lists of values by partition; an empty answer waits as long as it may. */
function createBench(leaders: number[], values: readonly string[][], answer?: (asked: Asked) => FetchResponse | Error | undefined) {
  const asked: Asked[] = [];
  const reply: Answer = async ({ node, purpose, name, args }) => {
    if (name === 'ListOffsets') {
      const { topics } = args as { topics: readonly [{ partitions: readonly [{ partition: number; timestamp: number }] }] };
      const [{ partition, timestamp }] = topics[0].partitions;
      const offset = String(timestamp === -2 ? 0 : (values[partition]?.length ?? 0));
      return { responses: [{ partitions: [{ errorCode: 0, offset }] }] };
    }
    const one = { node, purpose, ...parse((args as { body: Buffer }).body) };
    asked.push(one);
    const given = answer?.(one);
    if (given instanceof Error) throw given;
    if (given) return given;
    const partitions = one.partitions.map(({ partition, offset }) => {
      const left = (values[partition] ?? []).slice(offset);
      const octets = left.length === 0 ? Buffer.alloc(0) : batchAt(offset, left);
      const errorCode = offset > (values[partition]?.length ?? 0) ? OUT_OF_RANGE : 0;
      return { topic: TOPIC, partition, errorCode, highWatermark: 0, octets };
    });
    if (partitions.every(({ octets, errorCode }) => octets.length === 0 && errorCode === 0)) await pause(one.waitMs);
    return { errorCode: 0, partitions };
  };
  const cluster = createFakeCluster(leaders, reply);
  const reads = new Reads(cluster, OPTIONS);
  const subscriptions = new Subscriptions(cluster, reads, { ...OPTIONS, logger });
  const subscribe = (partition: number, from = 0, signal = new AbortController().signal) =>
    subscriptions.subscribe({ topic: TOPIC, partition }, from, signal);
  return { asked, cluster, subscriptions, subscribe };
}

const textsOf = (records: readonly { readonly value: Uint8Array }[] | undefined) =>
  (records ?? []).map(({ value }) => Buffer.from(value).toString());
const gap = (wanted: number) => (error: unknown) => error instanceof OffsetGap && error.wanted === wanted;

test('one request serves all partitions of a broker, also those that came while another waited', async () => {
  const { asked, subscribe, subscriptions } = createBench([1, 1, 1], [[], [], []]);
  subscribe(0);
  subscribe(1);
  subscribe(2);
  const polls = () => asked.filter(({ purpose }) => purpose === 'poll');
  while (polls().length < 6) await pause(5);
  subscriptions.close();
  assert.deepEqual(
    polls()
      .at(-1)
      ?.partitions.map(({ partition }) => partition)
      .toSorted(),
    [0, 1, 2],
  );
  assert.ok(asked.length - polls().length <= 6, `${asked.length} requests for 6 long ones`);
});

test('a partition that comes while a long request waits gets its records at once', async () => {
  const { subscribe, subscriptions, asked } = createBench([1, 1], [[], ['a', 'b']]);
  subscribe(0);
  assert.deepEqual(textsOf(await subscribe(1).next()), ['a', 'b']);
  assert.equal(asked.filter(({ purpose }) => purpose === 'poll').length, 1);
  subscriptions.close();
});

test('records that do not follow the last one are a gap, never a jump', async () => {
  const jump = { errorCode: 0, partitions: [{ topic: TOPIC, partition: 0, errorCode: 0, highWatermark: 9, octets: batchAt(7, ['x']) }] };
  const { subscribe, subscriptions } = createBench([1], [['a']], () => jump);
  await assert.rejects(subscribe(0).next(), gap(0));
  subscriptions.close();
});

test('an offset above the end is a gap when it stays there', async () => {
  const { subscribe, subscriptions } = createBench([1], [['a', 'b']]);
  await assert.rejects(subscribe(0, 5).next(), gap(5));
  subscriptions.close();
});

test('where the leader has moved, or does not answer, the new one is asked', async () => {
  const moved = {
    errorCode: 0,
    partitions: [{ topic: TOPIC, partition: 0, errorCode: NOT_LEADER, highWatermark: 0, octets: Buffer.alloc(0) }],
  };
  for (const trouble of [moved, silence()]) {
    const { subscribe, subscriptions, cluster, asked } = createBench([1], [['a']], ({ node }) => (node === 1 ? trouble : undefined));
    const { refresh } = cluster;
    cluster.refresh = async () => {
      cluster.leaders[0] = 2;
      await refresh();
    };
    assert.deepEqual(textsOf(await subscribe(0).next()), ['a']);
    assert.deepEqual(
      asked.slice(0, 2).map(({ node }) => node),
      [1, 2],
    );
    subscriptions.close();
  }
});

test('a partition whose buffer is full is asked for no more, until its reader has emptied it', async () => {
  const value = 'x'.repeat(100_000);
  const values = [[value], []];
  const { subscribe, subscriptions, asked } = createBench([1, 1], values);
  // Its share is half of what may be read ahead, by the number of subscriptions.
  const full = subscribe(0);
  const other = subscribe(1);
  values[0]?.push(value, value);
  const isAsked = (from: number) =>
    asked.some(({ partitions }) => partitions.some(({ partition, offset }) => partition === 0 && offset === from));
  while (!isAsked(1)) await pause(5);
  while (asked.at(-1)?.partitions.length !== 1) await pause(5);
  assert.ok(!isAsked(3));
  assert.equal((await full.next())?.length, 3);
  while (!isAsked(3)) await pause(5);
  subscriptions.close();
  assert.equal(await other.next(), undefined);
});

test('an abort and a close end a waiting reader', async () => {
  const { subscribe, subscriptions } = createBench([1, 1], [[], []]);
  const stop = new AbortController();
  const aborted = subscribe(0, 0, stop.signal).next();
  const closed = subscribe(1).next();
  stop.abort();
  assert.equal(await aborted, undefined);
  subscriptions.close();
  assert.equal(await closed, undefined);
  assert.equal(await subscribe(0).next(), undefined);
});
