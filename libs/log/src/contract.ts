import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AppendFailed, type GroupBatch, type GroupOptions, type Log, type LogRecord, OffsetGap, type TopicName } from './port.ts';

/** What the suite needs of a log that an engine's test opens for it, empty each time. */
export interface OpenedLog {
  readonly log: Log;
  /** Closes the log and opens it again over what is durable. */
  reopen(): Promise<Log>;
  /** Lets the next append fail, and with it all that would be written together with it; left out: the engine cannot. */
  failNextAppend?(): void;
  /** Closes whatever is open and gives everything back. */
  close(): Promise<void>;
}

/** Partitions that the opened log must have. */
export const CONTRACT_PARTITIONS: Readonly<Record<TopicName, number>> = {
  'mail.in': 2,
  'mail.in.bulk': 1,
  'mail.lane': 3,
  'mail.control': 1,
  'mail.dead': 1,
  'mail.lease': 1,
};

const TIMEOUT_MS = 30_000;
const ANY_OCTETS = 1024 ** 2;
const text = (value: string): Uint8Array => Buffer.from(value);
const texts = (records: readonly LogRecord[]): string[] => records.map(({ value }) => Buffer.from(value).toString());
const numbers = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at));

type Place = readonly [topic: TopicName, partition: number];
const fill = ([topic, partition]: Place, log: Log, count: number): Promise<number> =>
  log.append(topic, partition, numbers(count).map(text));

async function readAll([topic, partition]: Place, log: Log): Promise<string[]> {
  const found: string[] = [];
  for (let { low: at } = await log.marks(topic, partition); ; ) {
    const records = await log.read(topic, partition, at, ANY_OCTETS);
    if (records.length === 0) return found;
    assert.equal(records[0]?.offset, at);
    found.push(...texts(records));
    at += records.length;
  }
}

/** Consumes until `isDone` of everything that was handed over; each batch is committed whole. */
async function consumeUntil(log: Log, options: Partial<GroupOptions>, isDone: (batches: readonly GroupBatch[]) => boolean) {
  const stop = new AbortController();
  const batches: GroupBatch[] = [];
  const onBatch = async (batch: GroupBatch) => {
    batches.push(batch);
    if (isDone(batches)) stop.abort();
    return batch.records[0] === undefined ? 0 : batch.records[0].offset + batch.records.length;
  };
  await log.consume({ group: 'g', topics: ['mail.in'], maxBatchOctets: ANY_OCTETS, onBatch, signal: stop.signal, ...options });
  return batches;
}
const recordsOf = (batches: readonly GroupBatch[], partition = 0): string[] =>
  batches.filter((batch) => batch.partition === partition).flatMap(({ records }) => texts(records));

const gap = (wanted: number) => (error: unknown) => error instanceof OffsetGap && error.wanted === wanted;
const IN: Place = ['mail.in', 0];

type Body = (opened: OpenedLog, t: TestContext) => Promise<void>;

const appending: Readonly<Record<string, Body>> = {
  'topics have the configured partitions': async ({ log }) => {
    for (const [topic, count] of Object.entries(CONTRACT_PARTITIONS)) assert.equal(log.partitions(topic as TopicName), count);
    await assert.rejects(async () => log.append('mail.in', CONTRACT_PARTITIONS['mail.in'], [text('a')]), RangeError);
    await assert.rejects(async () => log.read('mail.in', -1, 0, 1), RangeError);
  },
  'offsets start at 0 and grow by 1 in each partition on its own': async ({ log }) => {
    assert.equal(await log.append('mail.in', 0, [text('a'), text('b')]), 0);
    assert.equal(await log.append('mail.in', 0, [text('c')]), 2);
    assert.equal(await log.append('mail.in', 1, [text('d')]), 0);
    assert.equal(await log.append('mail.lane', 0, [text('e')]), 0);
    const records = await log.read('mail.in', 0, 0, ANY_OCTETS);
    assert.deepEqual(
      records.map(({ offset }) => offset),
      [0, 1, 2],
    );
    assert.deepEqual(texts(records), ['a', 'b', 'c']);
    assert.deepEqual(await readAll(['mail.in', 1], log), ['d']);
    assert.deepEqual(await log.marks('mail.in', 0), { low: 0, high: 3 });
  },
  'values come back octet by octet, empty ones and ones of 512 KiB too': async ({ log, reopen }) => {
    const values = [new Uint8Array(0), Uint8Array.of(0, 255, 13, 10), new Uint8Array(512 * 1024).fill(7)];
    await log.append('mail.lane', 1, values);
    for (const opened of [async () => log, reopen]) {
      const open = await opened();
      const records = await open.read('mail.lane', 1, 0, ANY_OCTETS * 2);
      assert.deepEqual(
        records.map(({ value }) => Buffer.from(value)),
        values.map((value) => Buffer.from(value)),
      );
    }
  },
  'a value of more than 512 KiB and an append of nothing are range errors and write nothing': async ({ log }) => {
    await assert.rejects(async () => log.append('mail.in', 0, [text('a'), new Uint8Array(512 * 1024 + 1)]), RangeError);
    await assert.rejects(async () => log.append('mail.in', 0, []), RangeError);
    assert.deepEqual(await log.marks('mail.in', 0), { low: 0, high: 0 });
  },
  'appends that a caller does not wait for keep their order, and each stays in one piece': async ({ log }) => {
    const one = numbers(50).map((value) => log.append('mail.lane', 0, [text(`a${value}`), text(`A${value}`)]));
    const two = numbers(50).map((value) => log.append('mail.lane', 0, [text(`b${value}`)]));
    const offsets = await Promise.all([...one, ...two]);
    const found = await readAll(['mail.lane', 0], log);
    assert.equal(found.length, 150);
    assert.deepEqual(
      found.filter((value) => value.startsWith('a')),
      numbers(50).map((value) => `a${value}`),
    );
    assert.deepEqual(
      found.filter((value) => value.startsWith('b')),
      numbers(50).map((value) => `b${value}`),
    );
    numbers(50).forEach((value, at) => {
      const offset = offsets[at] ?? -1;
      assert.deepEqual(found.slice(offset, offset + 2), [`a${value}`, `A${value}`]);
    });
  },
  'any partition is one of the topic’s, and none is left out': async ({ log }) => {
    for (let at = 0; at < 24; at++) await log.append('mail.lane', log.anyPartition('mail.lane'), [text('a')]);
    for (const partition of [0, 1, 2]) assert.ok((await log.marks('mail.lane', partition)).high > 0);
  },
  'appendedAtMs never goes back': async ({ log, reopen }) => {
    const at: number[] = [];
    const note = async (open: Log) => at.push(...(await open.read('mail.in', 0, at.length, ANY_OCTETS)).map((found) => found.appendedAtMs));
    await Promise.all([fill(IN, log, 3), fill(IN, log, 1)]);
    await note(log);
    await log.trim('mail.in', 0, 4);
    const again = await reopen();
    await fill(IN, again, 3);
    await note(again);
    assert.equal(at.length, 7);
    assert.deepEqual(
      at,
      at.toSorted((one, other) => one - other),
    );
  },
  'what was acknowledged is there after a reopen, and offsets go on': async ({ log, reopen }) => {
    await fill(IN, log, 5);
    const again = await reopen();
    assert.deepEqual(await readAll(IN, again), numbers(5));
    assert.equal(await again.append('mail.in', 0, [text('next')]), 5);
  },
  'an append that fails leaves no hole, and later ones go on': async ({ log, reopen, failNextAppend }, t) => {
    if (!failNextAppend) return t.skip('this engine cannot be told to fail');
    await fill(IN, log, 2);
    failNextAppend();
    await assert.rejects(log.append('mail.in', 0, [text('lost')]), (error: unknown) => error instanceof AppendFailed);
    assert.equal(await log.append('mail.in', 0, [text('kept')]), 2);
    assert.deepEqual(await readAll(IN, log), ['0', '1', 'kept']);
    assert.deepEqual(await readAll(IN, await reopen()), ['0', '1', 'kept']);
  },
  'appends and trims after close fail as closed; a second close is a no-op': async ({ log }) => {
    const written = fill(IN, log, 1);
    await Promise.all([written, log.close(), log.close()]);
    const closed = (error: unknown) => error instanceof AppendFailed && error.reason === 'closed' && !error.inDoubt;
    await assert.rejects(log.append('mail.in', 0, [text('late')]), closed);
    await assert.rejects(log.trim('mail.in', 0, 1), closed);
  },
};

const reading: Readonly<Record<string, Body>> = {
  'a read is empty at the end, and an offset gap below low and above high': async ({ log }) => {
    assert.deepEqual(await log.read('mail.in', 0, 0, ANY_OCTETS), []);
    await fill(IN, log, 4);
    await log.trim('mail.in', 0, 2);
    assert.deepEqual(await log.read('mail.in', 0, 4, ANY_OCTETS), []);
    await assert.rejects(log.read('mail.in', 0, 1, ANY_OCTETS), gap(1));
    await assert.rejects(log.read('mail.in', 0, 5, ANY_OCTETS), (error: unknown) => {
      assert.ok(error instanceof OffsetGap);
      assert.deepEqual(error.marks, { low: 2, high: 4 });
      return true;
    });
  },
  'to follow from above the high mark is an offset gap, not a wait': async ({ log }) => {
    await fill(IN, log, 2);
    const records = log.follow('mail.in', 0, 3, new AbortController().signal)[Symbol.asyncIterator]();
    await assert.rejects(records.next(), gap(3));
  },
  'a read gives as many records as fit, but at least one': async ({ log, reopen }) => {
    const sizes = [100, 10, 10, 10, 100];
    await log.append(
      'mail.in',
      0,
      sizes.map((size) => new Uint8Array(size)),
    );
    for (const opened of [async () => log, reopen]) {
      const open = await opened();
      const counts = [
        [0, 1],
        [0, 109],
        [0, 110],
        [1, 30],
        [1, 29],
        [3, 0],
        [0, 1000],
      ].map(async ([from = 0, octets = 0]) => (await open.read('mail.in', 0, from, octets)).length);
      assert.deepEqual(await Promise.all(counts), [1, 1, 2, 3, 2, 1, 5]);
    }
  },
  'a follower gets what is there, then what comes': async ({ log }) => {
    await fill(IN, log, 3);
    const stop = new AbortController();
    const found: string[] = [];
    for await (const records of log.follow('mail.in', 0, 1, stop.signal)) {
      assert.equal(records[0]?.offset, 1 + found.length);
      found.push(...texts(records));
      // Not awaited: the follower must be woken by it.
      if (found.length < 6) log.append('mail.in', 0, [text(`later ${found.length}`)]).catch(assert.ifError);
      else stop.abort();
    }
    assert.deepEqual(found, ['1', '2', 'later 2', 'later 3', 'later 4', 'later 5']);
  },
  'a waiting follower ends when its signal aborts or the log closes': async ({ log }) => {
    const drain = async (signal: AbortSignal) => {
      for await (const _ of log.follow('mail.in', 0, 0, signal)) assert.fail('nothing was appended');
    };
    const stop = new AbortController();
    const following = drain(stop.signal);
    setImmediate(() => stop.abort());
    await following;
    await drain(AbortSignal.abort());
    const other = drain(new AbortController().signal);
    setImmediate(() => void log.close());
    await other;
  },
  'a trim that passes a follower, waiting or reading, is an offset gap to it': async ({ log }) => {
    const { signal } = new AbortController();
    await fill(IN, log, 2);
    const reader = log.follow('mail.in', 0, 0, signal)[Symbol.asyncIterator]();
    await reader.next();
    await fill(IN, log, 2);
    await log.trim('mail.in', 0, 4);
    await assert.rejects(reader.next(), gap(2));
  },
};

const trimming: Readonly<Record<string, Body>> = {
  'a trim gives up what is below it, for good; a lower one is a no-op': async ({ log, reopen }) => {
    await fill(IN, log, 5);
    await log.trim('mail.in', 0, 2);
    await log.trim('mail.in', 0, 1);
    await Promise.all([log.trim('mail.in', 0, 4), log.trim('mail.in', 0, 3)]);
    for (const opened of [async () => log, reopen]) {
      const open = await opened();
      assert.deepEqual(await open.marks('mail.in', 0), { low: 4, high: 5 });
      assert.deepEqual(await readAll(IN, open), ['4']);
    }
  },
  'a trim up to the high mark empties the partition, and offsets go on, also after a reopen': async ({ log, reopen }) => {
    await fill(IN, log, 3);
    await log.trim('mail.in', 0, 3);
    assert.deepEqual(await log.read('mail.in', 0, 3, ANY_OCTETS), []);
    const again = await reopen();
    assert.deepEqual(await again.marks('mail.in', 0), { low: 3, high: 3 });
    assert.equal(await again.append('mail.in', 0, [text('next')]), 3);
  },
  'a trim above the high mark is a range error': async ({ log }) => {
    await fill(IN, log, 3);
    await assert.rejects(log.trim('mail.in', 0, 4), RangeError);
    assert.deepEqual(await log.marks('mail.in', 0), { low: 0, high: 3 });
  },
  'a trim touches no other partition': async ({ log }) => {
    await fill(IN, log, 2);
    await fill(['mail.in', 1], log, 2);
    await log.trim('mail.in', 0, 2);
    assert.deepEqual(await log.marks('mail.in', 1), { low: 0, high: 2 });
    assert.ok(log.heldOctets('mail.in', 0) >= 0);
  },
};

const consuming: Readonly<Record<string, Body>> = {
  'a group that never committed starts at the low mark': async ({ log }) => {
    await fill(IN, log, 5);
    await log.trim('mail.in', 0, 2);
    assert.equal(await log.committed('g', 'mail.in', 0), 2);
    const [first] = await consumeUntil(log, {}, () => true);
    assert.deepEqual([first?.topic, first?.partition, first?.committed], ['mail.in', 0, 2]);
    assert.deepEqual(texts(first?.records ?? []), ['2', '3', '4']);
  },
  'what was committed is durable when consume resolves, and the group resumes behind it': async ({ log, reopen }) => {
    await fill(IN, log, 3);
    await consumeUntil(log, {}, () => true);
    assert.equal(await log.committed('g', 'mail.in', 0), 3);
    const again = await reopen();
    assert.equal(await again.committed('g', 'mail.in', 0), 3);
    assert.equal(await again.committed('other', 'mail.in', 0), 0);
    await again.append('mail.in', 0, [text('next')]);
    assert.deepEqual(recordsOf(await consumeUntil(again, {}, () => true)), ['next']);
    assert.deepEqual(recordsOf(await consumeUntil(again, { group: 'other' }, () => true)), ['0', '1', '2', 'next']);
  },
  'what is appended meanwhile comes too, in order': async ({ log }) => {
    await fill(IN, log, 2);
    const batches = await consumeUntil(log, {}, (seen) => {
      if (recordsOf(seen).length < 5) log.append('mail.in', 0, [text('more')]).catch(assert.ifError);
      return recordsOf(seen).length >= 5;
    });
    assert.deepEqual(recordsOf(batches).slice(0, 5), ['0', '1', 'more', 'more', 'more']);
  },
  'a batch that is done in part hands the rest over again': async ({ log, reopen }) => {
    await fill(IN, log, 4);
    const seen: string[][] = [];
    const stop = new AbortController();
    const onBatch = async ({ records }: GroupBatch) => {
      seen.push(texts(records));
      if (seen.length === 3) stop.abort();
      return (records[0]?.offset ?? 0) + (seen.length === 2 ? 0 : 1);
    };
    await log.consume({ group: 'g', topics: ['mail.in'], maxBatchOctets: ANY_OCTETS, onBatch, signal: stop.signal });
    assert.deepEqual(seen, [
      ['0', '1', '2', '3'],
      ['1', '2', '3'],
      ['1', '2', '3'],
    ]);
    assert.equal(await (await reopen()).committed('g', 'mail.in', 0), 2);
  },
  'one batch of a partition at a time, partitions side by side, batches within their octets': async ({ log }) => {
    for (const partition of [0, 1, 2]) await fill(['mail.lane', partition], log, 10);
    const running = new Map<number, number>();
    const bothRun = Promise.withResolvers<void>();
    const stop = new AbortController();
    let done = 0;
    const onBatch = async ({ partition, records }: GroupBatch) => {
      assert.ok(!running.has(partition), 'a second batch of a partition before the first one ended');
      assert.ok(records.length <= 3);
      running.set(partition, records.length);
      if (running.size === 3) bothRun.resolve();
      await bothRun.promise;
      running.delete(partition);
      done += records.length;
      if (done === 30) stop.abort();
      return (records.at(-1)?.offset ?? 0) + 1;
    };
    await log.consume({ group: 'g', topics: ['mail.lane'], maxBatchOctets: 3, onBatch, signal: stop.signal });
    assert.equal(done, 30);
  },
  'topics are consumed together': async ({ log }) => {
    await fill(IN, log, 1);
    await fill(['mail.in.bulk', 0], log, 1);
    const batches = await consumeUntil(log, { topics: ['mail.in', 'mail.in.bulk'] }, (seen) => seen.length === 2);
    assert.deepEqual(batches.map(({ topic }) => topic).toSorted(), ['mail.in', 'mail.in.bulk']);
  },
  'a batch that rejects ends the consumption with its error, and is handed over again': async ({ log }) => {
    await fill(IN, log, 2);
    await fill(['mail.in', 1], log, 2);
    const broken = new Error('broken');
    const onBatch = async ({ partition }: GroupBatch) => (partition === 0 ? Promise.reject(broken) : 2);
    await assert.rejects(
      consumeUntil(log, { onBatch }, () => false),
      broken,
    );
    assert.equal(await log.committed('g', 'mail.in', 0), 0);
    assert.deepEqual(recordsOf(await consumeUntil(log, {}, (seen) => recordsOf(seen).length === 2)), ['0', '1']);
  },
  'a committed offset below the low mark is an offset gap': async ({ log }) => {
    await fill(IN, log, 2);
    await consumeUntil(log, {}, () => true);
    await fill(IN, log, 4);
    await log.trim('mail.in', 0, 5);
    await assert.rejects(
      consumeUntil(log, {}, () => false),
      gap(2),
    );
  },
  'somebody who listens for gaps hears of it, and the other partitions go on': async ({ log }) => {
    await fill(IN, log, 1);
    await consumeUntil(log, {}, () => true);
    await fill(IN, log, 2);
    await log.trim('mail.in', 0, 2);
    const gaps: [TopicName, number, number][] = [];
    const onGap: GroupOptions['onGap'] = (topic, partition, { wanted }) => {
      gaps.push([topic, partition, wanted]);
    };
    const consuming = consumeUntil(log, { onGap }, (seen) => recordsOf(seen, 1).length === 2);
    await fill(['mail.in', 1], log, 2);
    await consuming;
    assert.deepEqual(gaps, [['mail.in', 0, 1]]);
  },
  'a consumption without anything to do ends when its signal aborts': async ({ log }) => {
    const stop = new AbortController();
    setImmediate(() => stop.abort());
    await consumeUntil(log, { signal: stop.signal }, () => assert.fail('nothing was appended'));
  },
};

/** What every engine must do. `open` gives a log without records, with `CONTRACT_PARTITIONS`. */
export function logContract(engine: string, open: () => Promise<OpenedLog>): void {
  for (const [name, body] of Object.entries({ ...appending, ...reading, ...trimming, ...consuming })) {
    test(`${engine}: ${name}`, { timeout: TIMEOUT_MS }, async (t) => {
      const opened = await open();
      t.after(() => opened.close());
      await body(opened, t);
    });
  }
}
