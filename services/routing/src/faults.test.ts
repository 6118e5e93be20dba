import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLaneTable } from '@angarium/lanes';
import { OffsetGap } from '@angarium/log';
import { type Accepted, encodeRecord, type LaneTable, NextHopKind } from '@angarium/records';
import { type Placement, type Target, Unavailable } from '@angarium/rpc';
import fc from 'fast-check';
import { accept, accepted, committed, createBench, deadIn, enqueuedIn, recipientsIn, remote, TABLE, until } from './fixtures/bench.ts';

test('an append that fails is repeated until it works, and nothing is committed before', async () => {
  const { log, start, stop, counter } = createBench();
  let failures = 0;
  let seenCommit = 0;
  log.fault = (topic) => {
    if (topic !== 'mail.lane' || failures === 5) return undefined;
    failures++;
    void log.committed('routing', 'mail.in', 0).then((offset) => {
      seenCommit = Math.max(seenCommit, offset);
    });
    return 'lost';
  };
  await start();
  await accept(log, accepted('Q1', ['a@one.example']));
  await committed(log, 1);
  await stop();
  assert.equal(failures, 5);
  assert.equal(seenCommit, 0);
  assert.equal(enqueuedIn(log).length, 1);
  assert.equal(await counter('angarium_routing_stalls_total{cause="lane_append"}'), 5);
});

test('a stop between the appends to two lanes commits nothing; the next start completes both', async () => {
  const { log, start, stop } = createBench();
  const order: number[] = [];
  log.fault = (topic, partition) => {
    if (topic !== 'mail.lane') return undefined;
    if (!order.includes(partition)) order.push(partition);
    return partition === order[1] ? 'lost' : undefined;
  };
  await start();
  await accept(log, accepted('Q1', ['a@one.example', 'b@two.example']));
  await until(() => order.length === 2, 'both lanes tried');
  await stop();
  assert.equal(await log.committed('routing', 'mail.in', 0), 0);
  log.fault = () => undefined;
  await start();
  await committed(log, 1);
  await stop();
  const addresses = recipientsIn(log).map(({ address }) => address);
  assert.deepEqual([...new Set(addresses)].sort(), ['a@one.example', 'b@two.example']);
});

test('an append in doubt is repeated: the copy carries the same source', async () => {
  const { log, start, stop } = createBench();
  let isFirst = true;
  log.fault = (topic) => {
    if (topic !== 'mail.lane' || !isFirst) return undefined;
    isFirst = false;
    return 'kept';
  };
  await start();
  await accept(log, accepted('Q1', ['a@one.example']));
  await committed(log, 1);
  await stop();
  const [one, two] = enqueuedIn(log);
  assert.deepEqual(one, two);
});

test('the table of the stamped version is used, also when a newer one came between the copies', async () => {
  const wide = createLaneTable({ version: 2, lanes: 3 });
  const tables: Record<number, LaneTable> = { 1: TABLE };
  const laneTable = (version: number) => tables[version];
  const paths = Array.from({ length: 20 }, (_, at) => `a@d${at}.example`);
  const { log, start, stop } = createBench();
  log.fault = (topic, partition) => (topic === 'mail.lane' && partition > 3 ? 'lost' : undefined);
  await start({ laneTable });
  await accept(log, accepted('Q1', paths));
  await until(() => enqueuedIn(log).length > 0, 'one lane written');
  await stop();
  tables[2] = wide;
  log.fault = () => undefined;
  await start({ laneTable });
  await committed(log, 1);
  await stop();
  const lanesOf = new Map<string, Set<number>>();
  for (const { lane, enqueued } of enqueuedIn(log))
    for (const { address } of enqueued.recipients) lanesOf.set(address, (lanesOf.get(address) ?? new Set()).add(lane));
  assert.deepEqual([...lanesOf.keys()].sort(), [...paths].sort());
  assert.ok([...lanesOf.values()].every((lanes) => lanes.size === 1));
});

test('a table that is not known yet is waited for', async () => {
  const { log, start, stop } = createBench();
  let known: LaneTable | undefined;
  let asked = 0;
  await start({
    laneTable: () => {
      if (++asked === 5) known = TABLE;
      return known;
    },
  });
  await accept(log, accepted('Q1', ['a@one.example'], { laneTableVersion: 9 }));
  await committed(log, 1);
  await stop();
  assert.equal(enqueuedIn(log).length, 1);
});

test('while the directory is down nothing is decided; then mail goes on', async () => {
  let isDown = true;
  let asked = 0;
  const { log, start, stop, lines } = createBench((path) => {
    asked++;
    if (isDown) throw new Unavailable('down');
    return remote(path);
  });
  await start();
  await accept(log, accepted('Q1', ['a@one.example']));
  await until(() => asked > 5, 'asked again and again');
  assert.deepEqual([enqueuedIn(log).length, deadIn(log).length, await log.committed('routing', 'mail.in', 0)], [0, 0, 0]);
  isDown = false;
  await committed(log, 1);
  await stop();
  assert.equal(enqueuedIn(log).length, 1);
  assert.ok(lines.every((line) => line === 'warn routing.batch.stalled'));
});

test('an answer of the directory that is not understood is no verdict', async () => {
  const answers: (readonly Target[])[] = [
    [],
    [{ address: 'a@one.example', placement: 99 as Placement, name: '' }],
    remote('a@one.example') as Target[],
  ];
  const { log, start, stop } = createBench(() => answers.shift() ?? []);
  await start();
  await accept(log, accepted('Q1', ['a@one.example']));
  await committed(log, 1);
  await stop();
  assert.deepEqual(
    recipientsIn(log).map(({ nextHop }) => nextHop?.kind),
    [NextHopKind.MX],
  );
});

test('a stop while the directory is down ends, and commits nothing', async () => {
  const { log, start, stop } = createBench(() => {
    throw new Unavailable('down');
  });
  await start();
  await accept(log, accepted('Q1', ['a@one.example']));
  await stop();
  assert.equal(await log.committed('routing', 'mail.in', 0), 0);
});

test('records that cannot be handled are named in mail.dead, and the partition goes on', async () => {
  const { log, start, stop, lines, counter } = createBench();
  const unknown = (critical: number) => Uint8Array.of(0x08, critical, 0xfa, 0x07, 0x00);
  const bad = [
    Uint8Array.of(0xff, 0xff),
    unknown(1),
    unknown(0),
    encodeRecord({ $case: 'notified', value: { queueId: 'Q', notifyId: 'N' } }),
    encodeRecord({ $case: 'accepted', value: accepted('Q3', ['a@one.example'], { envelope: undefined }) }),
    encodeRecord({ $case: 'accepted', value: accepted('Q4', ['a@one.example'], { content: undefined }) }),
    encodeRecord({ $case: 'accepted', value: accepted('Q5', []) }),
  ];
  await log.append('mail.in', 1, bad);
  await accept(log, accepted('Q9', ['a@one.example']), 'mail.in', 1);
  let failures = 3;
  log.fault = (topic) => (topic === 'mail.dead' && failures-- > 0 ? 'lost' : undefined);
  await start();
  await committed(log, bad.length + 1, 'mail.in', 1);
  await stop();
  assert.deepEqual(
    deadIn(log).map(({ src, reason, queueId }) =>
      `${src?.topic}/${src?.partition}/${src?.offset} ${reason.split(':')[0]} ${queueId}`.trim(),
    ),
    [
      'mail.in/1/0 corrupt',
      'mail.in/1/1 unknown_kind',
      'mail.in/1/3 not_accepted',
      'mail.in/1/4 no_envelope',
      'mail.in/1/5 no_content Q4',
      'mail.in/1/6 no_recipients Q5',
    ],
  );
  assert.deepEqual(
    enqueuedIn(log).map(({ enqueued }) => enqueued.envelope?.queueId),
    ['Q9'],
  );
  assert.equal(lines.filter((line) => line === 'error routing.record.dead').length, 6);
  assert.equal(await counter('angarium_routing_dead_total{reason="no_content"}'), 1);
});

test('a message that no record can hold is set aside', async () => {
  const { log, start, stop } = createBench();
  const huge = accepted('Q1', ['a@one.example']);
  const message = { ...huge, envelope: { ...(huge.envelope as NonNullable<Accepted['envelope']>), envid: 'x'.repeat(600 * 1024) } };
  await start();
  await accept(log, message);
  await accept(log, accepted('Q2', ['a@one.example']));
  await committed(log, 2);
  await stop();
  assert.deepEqual(
    deadIn(log).map(({ queueId }) => queueId),
    ['Q1'],
  );
  assert.equal(enqueuedIn(log).length, 1);
});

test('records that are missing halt their partition alone, and ring', async () => {
  const { log, start, stop, lines, counter } = createBench();
  await accept(log, accepted('Q1', ['a@one.example']));
  await accept(log, accepted('Q2', ['a@one.example']));
  log.jump = 1;
  const routing = await start();
  await until(() => routing.notReady().length > 0, 'rings');
  log.jump = 0;
  await accept(log, accepted('Q3', ['a@one.example']), 'mail.in', 1);
  await committed(log, 1, 'mail.in', 1);
  assert.deepEqual(routing.notReady(), ['routing: mail.in/0 is halted, records are missing']);
  assert.equal(await counter('angarium_routing_halted_partitions'), 1);
  await stop();
  assert.equal(await log.committed('routing', 'mail.in', 0), 0);
  assert.deepEqual(lines, ['error routing.partition.halted']);
});

test('a partition that was another member’s meanwhile goes on where that one committed', async () => {
  const { log, start, stop, lines } = createBench();
  const routing = await start();
  await accept(log, accepted('Q1', ['a@one.example']));
  await committed(log, 1);
  log.handleElsewhere('mail.in', 0, encodeRecord({ $case: 'accepted', value: accepted('Q2', ['a@one.example']) }));
  await accept(log, accepted('Q3', ['a@one.example']));
  await committed(log, 3);
  assert.deepEqual(routing.notReady(), []);
  await stop();
  assert.deepEqual(lines, []);
});

test('a committed offset that the log does not hold halts its partition and rings, the others go on', async () => {
  const { log, start, stop, lines } = createBench();
  const { consume } = log;
  const gap = new OffsetGap(9, { low: 0, high: 3 });
  const routing = await start({
    log: {
      ...log,
      consume: (options) => {
        options.onGap?.('mail.in', 1, gap);
        return consume(options);
      },
    },
  });
  await accept(log, accepted('Q1', ['a@one.example']));
  await committed(log, 1);
  assert.deepEqual(routing.notReady(), ['routing: mail.in/1 is halted, records are missing']);
  await stop();
  assert.deepEqual(lines, ['error routing.partition.halted']);
});

test('a consumption that fails for another reason is taken up again', async () => {
  const { log, start, stop, lines } = createBench();
  const { consume } = log;
  let failures = 2;
  await start({ log: { ...log, consume: (options) => (failures-- > 0 ? Promise.reject(new Error('no')) : consume(options)) } });
  await accept(log, accepted('Q1', ['a@one.example']));
  await committed(log, 1);
  await stop();
  assert.equal(lines.length, 2);
});

test('a log that was closed before the service stops ends the consumption, once and for all', async () => {
  const { log, start, stop } = createBench();
  let consumptions = 0;
  const consume = async () => {
    consumptions++;
  };
  await start({ log: { ...log, consume } });
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  assert.equal(consumptions, 1);
  await stop();
});

test('whatever fails and wherever it stops: each recipient ends in one lane, none is lost, floors stay behind', async () => {
  const scenario = fc.record({
    domains: fc.array(fc.uniqueArray(fc.nat({ max: 30 }), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 12 }),
    fates: fc.infiniteStream(fc.constantFrom(undefined, undefined, undefined, 'lost' as const, 'kept' as const)),
    stopsAfter: fc.array(fc.nat({ max: 30 }), { maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ domains, fates, stopsAfter }) => {
      const { log, start, stop } = createBench();
      const messages = domains.map((numbers) => numbers.map((number) => `u@d${number}.example`));
      for (const [at, paths] of messages.entries()) await accept(log, accepted(`Q${at}`, paths));
      log.fault = (topic) => (topic === 'mail.lane' ? fates.next().value : undefined);
      for (const turns of stopsAfter) {
        await start();
        for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
        await stop();
      }
      log.fault = () => undefined;
      await start();
      await committed(log, messages.length);
      await stop();
      const lanes = new Map<string, Set<number>>();
      for (const { lane, enqueued } of enqueuedIn(log)) {
        assert.ok(enqueued.floor <= (enqueued.src?.offset ?? 0));
        for (const { address } of enqueued.recipients) {
          const recipient = `${enqueued.envelope?.queueId} ${address}`;
          lanes.set(recipient, (lanes.get(recipient) ?? new Set()).add(lane));
        }
      }
      assert.deepEqual([...lanes.keys()].sort(), messages.flatMap((paths, at) => paths.map((path) => `Q${at} ${path}`)).sort());
      assert.ok([...lanes.values()].every((found) => found.size === 1));
    }),
    { numRuns: 60 },
  );
});
