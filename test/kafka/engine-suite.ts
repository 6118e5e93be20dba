import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { checkTopics, createTopics, type GroupBatch, type Log, missingTopics, OffsetGap, openKafkaLog } from '@angarium/log';
import { Kafka, logLevel } from 'kafkajs';
import type { Brokers } from './brokers.ts';
import { createTrial, type Trial, until } from './fixtures.ts';

const text = (value: string): Uint8Array => Buffer.from(value);
const ANY_OCTETS = 1024 ** 2;

/** What another client than ours does to the topics. */
async function withAdmin<T>({ options }: Trial, work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: [...options.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** A group member that notes which records it handled, and which partitions it is busy with. */
function startMember(log: Log, o: { readonly busy: Set<number>; readonly workMs: number }) {
  const stop = new AbortController();
  const handled: string[] = [];
  const partitions = new Set<number>();
  const onBatch = async ({ partition, records, committed }: GroupBatch): Promise<number> => {
    assert.ok(!o.busy.has(partition), `partition ${partition} is handled by two members at once`);
    assert.ok(committed <= (records[0]?.offset ?? 0));
    o.busy.add(partition);
    partitions.add(partition);
    await pause(o.workMs);
    o.busy.delete(partition);
    handled.push(...records.map(({ offset }) => `${partition}/${offset}`));
    return (records.at(-1)?.offset ?? 0) + 1;
  };
  const consuming = log.consume({ group: 'g', topics: ['mail.in'], maxBatchOctets: 20, onBatch, signal: stop.signal });
  return {
    handled,
    partitions,
    stop: async () => {
      stop.abort();
      await consuming;
    },
  };
}

/** What the engine does beyond the contract. */
export function engineSuite(brokers: () => Brokers): void {
  test('members that come and go share the partitions: nothing is left out, nothing is handled at the same time', async () => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.in': 6 } });
    const logs = await Promise.all([trial.open(), trial.open(), trial.open()]);
    const [one, two, three] = logs as [Log, Log, Log];
    let isStopped = false;
    const written: string[] = [];
    const writing = (async () => {
      for (let number = 0; !isStopped; number++) {
        const partition = number % 6;
        written.push(`${partition}/${await one.append('mail.in', partition, [text(String(number))])}`);
        await pause(3);
      }
    })();
    const busy = new Set<number>();
    const first = startMember(one, { busy, workMs: 10 });
    await until('the first has all partitions', () => first.partitions.size === 6);
    const second = startMember(two, { busy, workMs: 30 });
    await until('the second has some', () => second.handled.length > 20);
    const third = startMember(three, { busy, workMs: 10 });
    await until('the third has some', () => third.handled.length > 20);
    await second.stop();
    const before = first.handled.length + third.handled.length;
    await until('the others go on', () => first.handled.length + third.handled.length > before + 50);
    isStopped = true;
    await writing;
    const all = () => new Set([...first.handled, ...second.handled, ...third.handled]);
    await until('everything is handled', () => all().size === written.length);
    await Promise.all([first.stop(), third.stop()]);
    const handled = [...first.handled, ...second.handled, ...third.handled];
    assert.deepEqual(new Set(handled), new Set(written));
    assert.equal(handled.length, written.length, 'a planned change hands nothing over twice');
    for (const partition of [0, 1, 2, 3, 4, 5])
      assert.equal(await one.committed('g', 'mail.in', partition), (await one.marks('mail.in', partition)).high);
    await Promise.all(logs.map((log) => log.close()));
  });

  test('a member that dies without a word is missed after its session, and its work is done again', async () => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.in': 2 } });
    const [dying, living] = (await Promise.all([trial.open(), trial.open()])) as [Log, Log];
    for (const partition of [0, 1]) await living.append('mail.in', partition, [text('a'), text('b')]);
    const never = Promise.withResolvers<number>();
    const taken = Promise.withResolvers<void>();
    const onBatch = async () => {
      taken.resolve();
      return never.promise;
    };
    const dead = dying.consume({
      group: 'g',
      topics: ['mail.in'],
      maxBatchOctets: ANY_OCTETS,
      onBatch,
      signal: new AbortController().signal,
    });
    await taken.promise;
    // Its connections go, and so do its heartbeats; its batch never ends.
    await dying.close();
    const member = startMember(living, { busy: new Set(), workMs: 0 });
    await until('the work is done again', () => member.handled.length === 4, 30_000);
    await member.stop();
    never.resolve(2);
    await assert.rejects(dead, { name: 'LogUnavailable' });
    assert.equal(await living.committed('g', 'mail.in', 0), 2);
    await living.close();
  });

  test('partitions that are added are consumed without a restart', async () => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.in': 2 } });
    const log = await trial.open();
    const member = startMember(log, { busy: new Set(), workMs: 0 });
    await log.append('mail.in', 0, [text('a')]);
    await until('the member works', () => member.handled.length === 1);
    await createTopics({ ...trial.options, partitions: { 'mail.in': 3 } });
    const other = await trial.open({ partitions: { 'mail.in': 3 } });
    await other.append('mail.in', 2, [text('b')]);
    await until('the new partition is consumed', () => member.handled.includes('2/0'));
    await member.stop();
    await Promise.all([log.close(), other.close()]);
  });

  test('a lane that another process trimmed is a gap to its follower, never a jump', async () => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.lane': 1 } });
    const log = await trial.open();
    await log.append(
      'mail.lane',
      0,
      Array.from({ length: 10 }, (_, number) => text(String(number))),
    );
    const other = await trial.open();
    await other.trim('mail.lane', 0, 5);
    await other.close();
    const reader = log.follow('mail.lane', 0, 3, new AbortController().signal)[Symbol.asyncIterator]();
    await assert.rejects(reader.next(), (error: unknown) => error instanceof OffsetGap && error.wanted === 3 && error.marks.low === 5);
    await log.close();
  });

  test('a topic that was deleted and made anew is a gap to its followers, and its group starts at the low mark', async () => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.in': 1, 'mail.lane': 1 } });
    const log = await trial.open();
    for (const topic of ['mail.in', 'mail.lane'] as const) await log.append(topic, 0, [text('a'), text('b'), text('c')]);
    const member = startMember(log, { busy: new Set(), workMs: 0 });
    await until('the group has read', () => member.handled.length === 3);
    await member.stop();
    assert.equal(await log.committed('g', 'mail.in', 0), 3);
    await log.close();
    const names = (['mail.in', 'mail.lane'] as const).map((topic) => `${trial.options.prefix}${topic}`);
    await withAdmin(trial, (admin) => admin.deleteTopics({ topics: names }));
    await until('they are gone', async () => (await missingTopics(trial.options)).length === 2);
    await createTopics(trial.options);
    const again = await trial.open();
    await again.append('mail.lane', 0, [text('x')]);
    await assert.rejects(again.read('mail.lane', 0, 3, ANY_OCTETS), OffsetGap);
    const reader = again.follow('mail.lane', 0, 3, new AbortController().signal)[Symbol.asyncIterator]();
    await assert.rejects(reader.next(), OffsetGap);
    assert.equal(await again.committed('g', 'mail.in', 0), 0);
    await again.close();
  });

  test('topics with too few partitions or replicas, or with other settings, are told with what to do', async () => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.in': 2 }, replicationFactor: 1, minInSyncReplicas: 1 });
    const { options } = trial;
    assert.deepEqual((await checkTopics(options)).problems, []);
    const name = `${options.prefix}mail.in`;
    await withAdmin(trial, (admin) =>
      admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name, configEntries: [{ name: 'retention.ms', value: '1000' }] }] }),
    );
    const wanted = { ...options, partitions: { 'mail.in': 4, 'mail.lane': 1 }, replicationFactor: 3, minInSyncReplicas: 2 } as const;
    const { problems } = await checkTopics(wanted);
    for (const part of [
      'has 2 of 4 partitions',
      'has 1 of 3 promised replicas',
      'retention.ms=1000, not -1',
      'CreateTime, not LogAppendTime',
      'mail.lane has 0 of 1',
    ])
      assert.ok(
        problems.some((problem) => problem.includes(part)),
        `${part}: ${problems.join('\n')}`,
      );
    await assert.rejects(openKafkaLog({ ...wanted, requestTimeoutMs: 500 }), {
      name: 'LogUnavailable',
      message: /mail.in has 2 of 4 partitions: run `angarium topics create`/,
    });
    assert.deepEqual(await createTopics(wanted), { created: ['mail.lane'], grown: ['mail.in'] });
    assert.deepEqual(await createTopics(wanted), { created: [], grown: [] });
  });

  test('appends beyond the buffer are refused as full, and what was taken is written', async () => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.in': 1 } });
    const log = await trial.open({ maxBufferedOctets: 100_000 });
    const value = new Uint8Array(20_000);
    const ends = await Promise.allSettled(Array.from({ length: 10 }, () => log.append('mail.in', 0, [value])));
    const kept = ends.filter(({ status }) => status === 'fulfilled').length;
    assert.equal(kept, 4);
    for (const end of ends)
      if (end.status === 'rejected') assert.ok(end.reason.name === 'AppendFailed' && end.reason.reason === 'full' && !end.reason.inDoubt);
    assert.equal((await log.marks('mail.in', 0)).high, kept);
    await log.close();
  });

  test('an append of more than a batch is written in order', async () => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.in': 1 } });
    const log = await trial.open();
    const values = Array.from({ length: 30 }, (_, number) => Buffer.alloc(100_000, number));
    assert.equal(await log.append('mail.in', 0, values), 0);
    const found: number[] = [];
    while (found.length < 30) found.push(...(await log.read('mail.in', 0, found.length, ANY_OCTETS)).map(({ value }) => value[0] ?? -1));
    assert.deepEqual(
      found,
      Array.from({ length: 30 }, (_, number) => number),
    );
    await log.close();
  });

  test('a reader that is slow gets everything, and holds up no other', async () => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.lane': 4 } });
    const log = await trial.open({ readAheadOctets: 256 * 1024 });
    const value = Buffer.alloc(10_000);
    for (let round = 0; round < 10; round++)
      await Promise.all(
        [0, 1, 2, 3].map((lane) =>
          log.append(
            'mail.lane',
            lane,
            Array.from({ length: 20 }, () => value),
          ),
        ),
      );
    const stop = new AbortController();
    const slow = log.follow('mail.lane', 0, 0, stop.signal)[Symbol.asyncIterator]();
    let slowCount = (await slow.next()).value?.length ?? 0;
    const read = async (lane: number) => {
      let count = 0;
      for await (const records of log.follow('mail.lane', lane, 0, stop.signal)) {
        count += records.length;
        if (count === 200) return;
      }
    };
    await Promise.all([1, 2, 3].map(read));
    while (slowCount < 200) slowCount += (await slow.next()).value?.length ?? 0;
    stop.abort();
    await log.close();
  });

  test('an idle member with 128 followed lanes costs less than 3 % of a core', { timeout: 60_000 }, async (t) => {
    const trial = await createTrial(brokers().addresses, { partitions: { 'mail.in': 24, 'mail.lane': 128 } });
    const log = await trial.open({ metadataMs: 60_000, heartbeatMs: 1000 });
    const stop = new AbortController();
    const member = log.consume({
      group: 'g',
      topics: ['mail.in'],
      maxBatchOctets: ANY_OCTETS,
      onBatch: async () => 0,
      signal: stop.signal,
    });
    const follow = async (lane: number) => {
      for await (const _ of log.follow('mail.lane', lane, 0, stop.signal)) assert.fail('nothing was appended');
    };
    const following = Array.from({ length: 128 }, (_, lane) => follow(lane));
    await pause(3000);
    const before = process.cpuUsage();
    await pause(5000);
    const { user, system } = process.cpuUsage(before);
    const share = (user + system) / 1000 / 5000;
    t.diagnostic(`${(share * 100).toFixed(2)} % of a core`);
    stop.abort();
    await Promise.all([member, ...following]);
    await log.close();
    assert.ok(share < 0.03, `${share}`);
  });
}
