import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Accepted, encodeRecord, NextHopKind } from '@angarium/records';
import { Placement, type Target } from '@angarium/rpc';
import { configSchema, createMetrics, noTracing, silentLogger } from '@angarium/runtime';
import {
  type Answer,
  accept,
  accepted,
  clock,
  committed,
  createBench,
  createBlobs,
  enqueuedIn,
  recipientsIn,
  remote,
  TABLE,
} from './fixtures/bench.ts';
import { createFaultLog } from './fixtures/fault-log.ts';
import { createRouting } from './index.ts';

test('a message goes to a lane per domain, with its envelope, content, source and counts', async () => {
  const { log, start, stop } = createBench();
  await start();
  await accept(log, accepted('Q1', ['a@one.example', 'b@two.example', 'c@one.example']), 'mail.in', 1);
  await committed(log, 1, 'mail.in', 1);
  await stop();
  const lanes = enqueuedIn(log);
  assert.equal(lanes.length, 2);
  const one = lanes.find(({ enqueued }) => enqueued.recipients.length === 2)?.enqueued;
  assert.deepEqual(one?.src, { topic: 'mail.in', partition: 1, offset: 0, incarnation: 7 });
  assert.equal(one?.envelope?.queueId, 'Q1');
  assert.equal(one?.content?.place?.$case, 'inline');
  assert.deepEqual([one?.acceptedRecipients, one?.expandedRecipients, one?.chunk, one?.floor], [3, 3, 0, 0]);
  assert.deepEqual(one?.recipients, [
    {
      address: 'a@one.example',
      ordinal: 0,
      notify: 4,
      orcpt: '',
      nextHop: { kind: NextHopKind.MX, name: 'one.example', account: '' },
      verdict: undefined,
    },
    {
      address: 'c@one.example',
      ordinal: 2,
      notify: 4,
      orcpt: '',
      nextHop: { kind: NextHopKind.MX, name: 'one.example', account: '' },
      verdict: undefined,
    },
  ]);
});

test('each placement gets its next hop, and what cannot be placed its verdict', async () => {
  const names: Record<string, Target> = {
    'Ann+x@Here.example': { address: 'Ann+x@Here.example', placement: Placement.MAILBOX, name: 'ann@here.example' },
    's@far.example': { address: 's@far.example', placement: Placement.SMARTHOST, name: '*' },
    'no@here.example': { address: 'no@here.example', placement: Placement.UNKNOWN_USER, name: '' },
    'loop@here.example': { address: 'loop@here.example', placement: Placement.LOOP, name: '' },
    'off@here.example': { address: 'off@here.example', placement: Placement.DISABLED, name: 'off@here.example' },
  };
  const { log, start, stop, counter } = createBench((path) => [names[path] as Target]);
  await start();
  await accept(log, accepted('Q1', Object.keys(names)));
  await committed(log, 1);
  await stop();
  const found = recipientsIn(log).sort((a, b) => a.ordinal - b.ordinal);
  assert.deepEqual(
    found.map(({ nextHop }) => nextHop),
    [
      { kind: NextHopKind.MAILBOX, name: 'here.example', account: 'ann@here.example' },
      { kind: NextHopKind.SMARTHOST, name: '*', account: '' },
      undefined,
      undefined,
      undefined,
    ],
  );
  assert.deepEqual(
    found.map(({ verdict }) => `${verdict?.reply?.code} ${verdict?.reply?.enhanced}`),
    ['undefined undefined', 'undefined undefined', '550 5.1.1', '550 5.4.6', '550 5.2.1'],
  );
  assert.equal(await counter('angarium_routing_recipients_total{placement="loop"}'), 1);
  assert.equal(await counter('angarium_routing_messages_total{topic="mail.in"}'), 1);
});

test('a recipient that several ordinals lead to is enqueued once, for the first; remote case is kept apart', async () => {
  const list: Answer = (path) =>
    path === 'list@here.example'
      ? [
          { address: 'ann@here.example', placement: Placement.MAILBOX, name: 'ann@here.example' },
          { address: 'Zoe@Far.example', placement: Placement.MX, name: 'far.example' },
        ]
      : [
          {
            address: path,
            placement: path.includes('here') ? Placement.MAILBOX : Placement.MX,
            name: path.includes('here') ? 'ann@here.example' : 'far.example',
          },
        ];
  const { log, start, stop } = createBench(list);
  await start();
  await accept(log, accepted('Q1', ['Zoe@far.example', 'list@here.example', 'ANN@here.example', 'zoe@far.example']));
  await committed(log, 1);
  await stop();
  const found = recipientsIn(log).map(({ address, ordinal, orcpt }) => `${ordinal} ${address} ${orcpt}`.trim());
  assert.deepEqual(found.sort(), ['0 Zoe@far.example', '1 ann@here.example rfc822;list@here.example', '3 zoe@far.example']);
});

test('success of an address that leads to several is reported once, by the address; of one that leads to one, by that one', async () => {
  const lists: Record<string, readonly string[]> = {
    'list@here.example': ['a@one.example', 'b@one.example'],
    'own@here.example': ['own@here.example', 'c@one.example'],
    'one@here.example': ['d@one.example'],
  };
  const answer: Answer = (path) => (lists[path] ?? [path]).map((address) => remote(address)[0] as Target);
  const { log, start, stop } = createBench(answer);
  await start();
  const recipients = Object.keys(lists).map((forwardPath, at) => ({ forwardPath, notify: at === 0 ? 2 : 6, orcpt: '' }));
  await accept(log, accepted('Q1', [], { recipients }));
  await committed(log, 1);
  await stop();
  const found = recipientsIn(log).map(({ address, notify, verdict }) => `${address} ${notify} ${verdict?.reply?.code ?? ''}`.trim());
  assert.deepEqual(found.sort(), [
    'a@one.example 1',
    'b@one.example 1',
    'c@one.example 4',
    'd@one.example 6',
    'list@here.example 2 250',
    'own@here.example 6',
  ]);
  assert.equal(enqueuedIn(log)[0]?.enqueued.expandedRecipients, 6);
});

test('two ordinals that lead to one recipient: whoever wants to be told is, silence only where both asked for it', async () => {
  const wishes: readonly (readonly [number, number, number])[] = [
    [1, 1, 1],
    [1, 2, 2],
    [4, 1, 4],
    [2, 4, 6],
    [0, 1, 0],
    [1, 0, 0],
    [0, 2, 14],
    [8, 0, 12],
    [0, 0, 0],
  ];
  const { log, start, stop } = createBench((path) => remote(path.replace(/^alias-/, '')));
  await start();
  const recipients = wishes.flatMap(([one, other], at) => [
    { forwardPath: `r${at}@one.example`, notify: one, orcpt: '' },
    { forwardPath: `alias-r${at}@one.example`, notify: other, orcpt: '' },
  ]);
  await accept(log, accepted('Q1', [], { recipients }));
  await committed(log, 1);
  await stop();
  const found = new Map(recipientsIn(log).map(({ address, notify }) => [address, notify]));
  assert.deepEqual(
    wishes.map((_, at) => found.get(`r${at}@one.example`)),
    wishes.map(([, , joined]) => joined),
  );
});

test('an alias of 10,000 recipients in one lane is cut into chunks that the log takes', async () => {
  const path = 'all@here.example';
  const addresses = Array.from({ length: 10_000 }, (_, at) => `${'x'.repeat(50)}${at}@one.example`);
  const { log, blobs, start, stop } = createBench(() => addresses.flatMap(remote));
  await start();
  await accept(
    log,
    accepted('Q1', [path], { content: { place: { $case: 'inline', value: Buffer.alloc(32_768) }, octets: 32_768, laneBlob: false } }),
  );
  await committed(log, 1);
  await stop();
  const lanes = enqueuedIn(log);
  assert.deepEqual(
    lanes.map(({ enqueued }) => enqueued.chunk),
    lanes.map((_, at) => at),
  );
  assert.ok(lanes.length >= 10);
  for (const { enqueued } of lanes) {
    assert.ok(enqueued.recipients.length <= 1000);
    assert.equal(enqueued.expandedRecipients, 10_000);
    assert.deepEqual(enqueued.content, { place: { $case: 'blobKey', value: 'shared/Q1' }, octets: 32_768, laneBlob: false });
  }
  assert.equal(blobs.kept.get('shared/Q1')?.length, 32_768);
  assert.equal(new Set(lanes.flatMap(({ enqueued }) => enqueued.recipients.map(({ address }) => address))).size, 10_000);
  for (const { value } of log.records('mail.lane', lanes[0]?.lane ?? 0)) assert.ok(value.length <= 512 * 1024);
});

test('chunks also end at 400 KiB of recipients', async () => {
  const long = (at: number) => `${String(at).padStart(4, '0')}${'x'.repeat(60)}@${`${'d'.repeat(60)}.`.repeat(3)}example`;
  const { log, start, stop } = createBench(() => Array.from({ length: 1000 }, (_, at) => long(at)).flatMap(remote));
  await start();
  await accept(log, accepted('Q1', ['all@here.example']));
  await committed(log, 1);
  await stop();
  const lanes = enqueuedIn(log);
  assert.ok(lanes.length >= 2);
  assert.equal(recipientsIn(log).length, 1000);
});

test('a body that many lanes would copy goes to the blob store once; when that is full they copy it', async () => {
  const { log, blobs, start, stop, counter, lines } = createBench();
  const content: Accepted['content'] = { place: { $case: 'inline', value: Buffer.alloc(30_000) }, octets: 30_000, laneBlob: false };
  const paths = Array.from({ length: 20 }, (_, at) => `a@d${at}.example`);
  await start();
  await accept(log, accepted('Q1', paths.slice(0, 1), { content }));
  await accept(log, accepted('Q2', paths, { content }));
  await committed(log, 2);
  blobs.isFull = true;
  await accept(log, accepted('Q3', paths, { content }));
  await committed(log, 3);
  await stop();
  const places = new Map(enqueuedIn(log).map(({ enqueued }) => [enqueued.envelope?.queueId, enqueued.content?.place?.$case]));
  assert.deepEqual(Object.fromEntries(places), { Q1: 'inline', Q2: 'blobKey', Q3: 'inline' });
  assert.deepEqual([...blobs.kept.keys()], ['shared/Q2']);
  assert.equal(await counter('angarium_routing_blobs_inlined_total'), 1);
  assert.deepEqual(lines, ['warn routing.blob.inlined']);
});

test('messages of a batch that go to one lane are one append', async () => {
  const { log, start, stop } = createBench();
  const values = Array.from({ length: 50 }, (_, at) => encodeRecord({ $case: 'accepted', value: accepted(`Q${at}`, ['a@one.example']) }));
  await log.append('mail.in', 0, values);
  await start();
  await committed(log, 50);
  await stop();
  assert.deepEqual(
    log.appends.filter(({ topic }) => topic === 'mail.lane').map(({ values: count }) => count),
    [50],
  );
});

test('the floor is an acknowledged commit that lies the lag behind', async () => {
  const { log, start, stop } = createBench();
  await start();
  const floors: number[] = [];
  for (const [at, nowMs] of [0, 100_000, 299_999, 300_000, 400_000, 700_000].entries()) {
    log.nowMs = nowMs;
    await accept(log, accepted(`Q${at}`, ['a@one.example']));
    await committed(log, at + 1);
  }
  await stop();
  for (const { enqueued } of enqueuedIn(log)) floors.push(enqueued.floor);
  assert.deepEqual(floors, [0, 0, 0, 0, 1, 4]);
});

test('bounces are routed as any other mail', async () => {
  const { log, start, stop } = createBench();
  await start();
  await accept(log, accepted('Q1', ['a@one.example']), 'mail.in.bulk');
  await committed(log, 1, 'mail.in.bulk');
  await stop();
  assert.equal(enqueuedIn(log)[0]?.enqueued.src?.topic, 'mail.in.bulk');
});

test('it opens a directory of its own, which answers between start and stop', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'angarium-routing-'));
  after(() => rm(folder, { recursive: true, force: true }));
  const log = createFaultLog();
  const blobs = createBlobs();
  const routing = createRouting({
    ...{ clock, random: () => 0.5, logger: silentLogger, metrics: createMetrics({ withProcess: false }), tracing: noTracing, log, blobs },
    config: configSchema.parse({ dataFolder: folder }),
    laneTable: () => TABLE,
  });
  await assert.rejects(routing.directory.check({ forwardPaths: [] }), { name: 'Unavailable' });
  assert.equal(routing.notReady().length, 1);
  await routing.start();
  assert.deepEqual(routing.notReady(), []);
  await routing.admin.putDomain({
    domain: { name: 'here.example', catchAll: '', subaddressSeparator: '+' },
    mustBeNew: true,
    mustExist: false,
  });
  const account = { address: 'ann@here.example', quotaOctets: 0, disabled: false, grantedAddresses: [] };
  await routing.admin.addAccount({ account, password: 'secret' });
  await assert.rejects(routing.admin.addAccount({ account, password: 'secret' }), { name: 'Refused', reason: 'exists' });
  await accept(log, accepted('Q1', ['Ann@here.example']));
  await committed(log, 1);
  assert.deepEqual(recipientsIn(log)[0]?.nextHop, { kind: NextHopKind.MAILBOX, name: 'here.example', account: 'ann@here.example' });
  await routing.stop();
  await assert.rejects(routing.admin.listDomains(), { name: 'Unavailable' });
});
