import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeRecord, Result, Ret } from '@angarium/records';
import { DeliverResult } from '@angarium/rpc';
import { NOTIFY } from '@angarium/smtp';
import { settle } from '../testing/clock.ts';
import { answer, bounces, createWorld, dead, defers, every, toMailbox, toMx, type World } from '../testing/world.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const textOf = (world: World, index = 0): string => {
  const place = world.dsns()[index]?.content?.place;
  return place?.$case === 'inline' ? Buffer.from(place.value).toString() : '';
};
const actions = (world: World, index = 0): readonly string[] =>
  [...textOf(world, index).matchAll(/^Action: (\w+)/gm)].map(([, action]) => action ?? '');

async function send(world: World, notify: number, address = 'a@there.test') {
  await world.start();
  await world.enqueue({
    queueId: 'Q1',
    to: [toMx(address, { notify, orcpt: 'rfc822;first@there.test' })],
    envelope: { envid: 'E1', ret: Ret.HDRS },
  });
}

test('a bounce is told to the sender in a mail that carries everything RFC 3464 asks for', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', bounces);
  await send(world, 0);
  const [dsn] = world.dsns();
  assert.equal(dsn?.envelope?.reversePath, '');
  assert.equal(dsn?.envelope?.parentQueueId, 'Q1');
  assert.deepEqual(dsn?.recipients, [{ forwardPath: 'sender@here.test', notify: NOTIFY.NEVER, orcpt: '' }]);
  const text = textOf(world);
  for (const line of [
    'To: <sender@here.test>',
    'Reporting-MTA: dns; angarium.test',
    'Original-Envelope-Id: E1',
    'Original-Recipient: rfc822;first@there.test',
    'Final-Recipient: rfc822;a@there.test',
    'Action: failed',
    'Status: 5.1.1',
    'Remote-MTA: dns; mx.test',
    'Diagnostic-Code: smtp; 550 5.1.1 nobody',
    'Subject: Q1',
  ])
    assert.ok(text.includes(`${line}\r\n`), line);
  assert.ok(!text.includes('\r\nbody\r\n'), 'RET=HDRS');
  await world.stop();
});

test('the notification is asked for first, then made, then known to be made', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', bounces);
  await send(world, 0);
  const id = world.outcomes()[0]?.recipients[0]?.notifyId;
  assert.ok(id);
  assert.equal(world.dsns()[0]?.envelope?.queueId, id);
  const kinds = world.records('mail.lane').map(({ $case }) => $case);
  assert.deepEqual(kinds, ['owner', 'enqueued', 'outcome', 'notified']);
  assert.equal((await world.delivery.queue.show({ queueId: 'Q1' })).found, false);
  await world.stop();
});

test('a kill between outcome and notification, or before it is noted, makes it once by its id', async () => {
  const world = createWorld();
  world.remote.hosts.set('there.test', bounces);
  world.faults.fate = (topic) => (topic === 'mail.in.bulk' ? 'lost' : 'kept');
  await send(world, 0);
  assert.deepEqual(world.dsns(), []);
  const { recipients } = await world.delivery.queue.show({ queueId: 'Q1' });
  assert.deepEqual(
    recipients.map(({ state, gate }) => [state, gate]),
    [['notifying', 'notify']],
  );
  world.faults.fate = (topic) => (topic === 'mail.in.bulk' ? 'inDoubt' : 'kept');
  await world.clock.pass(150);
  assert.equal(world.dsns().length, 1);
  await world.kill();
  world.faults.fate = () => 'kept';
  await world.start();
  const ids = new Set(world.dsns().map(({ envelope }) => envelope?.queueId));
  assert.equal(world.dsns().length, 2);
  assert.equal(ids.size, 1);
  assert.equal((await world.delivery.queue.show({ queueId: 'Q1' })).found, false);
  await world.stop();
});

test('no notification of mail with the null reverse-path, nor where NOTIFY does not ask for it', async () => {
  for (const [notify, reversePath] of [
    [0, ''],
    [NOTIFY.FAILURE, ''],
    [NOTIFY.NEVER, 'sender@here.test'],
    [NOTIFY.SUCCESS, 'sender@here.test'],
    [NOTIFY.DELAY, 'sender@here.test'],
  ] as const) {
    const world = createWorld();
    world.remote.hosts.set('there.test', bounces);
    await world.start();
    await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test', { notify })], envelope: { reversePath } });
    assert.deepEqual(world.dsns(), [], `${notify} ${reversePath}`);
    assert.deepEqual(world.results(), ['a@there.test bounced']);
    await world.stop();
  }
});

test('success: told of final delivery and of relaying to a host without DSN, left to a host that speaks it', async () => {
  for (const [relayed, expected] of [
    [true, ['relayed']],
    [false, []],
  ] as const) {
    const world = createWorld();
    world.remote.hosts.set('there.test', (job) => every(job, { relayed }));
    await send(world, NOTIFY.SUCCESS);
    assert.deepEqual(actions(world), expected);
    await world.stop();
  }
  const world = createWorld();
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMailbox('ann@here.test', { notify: NOTIFY.SUCCESS }), toMailbox('ben@here.test')] });
  assert.deepEqual(actions(world), ['delivered']);
  await world.stop();
});

test('one notification for all that an attempt has to tell', async () => {
  const world = createWorld();
  world.box.results.set('gone@here.test', DeliverResult.NO_SUCH_ACCOUNT);
  await world.start();
  await world.enqueue({
    queueId: 'Q1',
    to: [toMailbox('ann@here.test', { notify: NOTIFY.SUCCESS }), toMailbox('gone@here.test'), toMailbox('ben@here.test')],
  });
  assert.equal(world.dsns().length, 1);
  assert.deepEqual(actions(world).toSorted(), ['delivered', 'failed']);
  await world.stop();
});

test('a delay is told once, when it is old enough and not ruled out', async () => {
  const world = createWorld({ warnAfterMs: 4 * HOUR });
  world.remote.hosts.set('there.test', defers);
  await world.start();
  const to = [
    toMx('open@there.test'),
    toMx('asked@there.test', { notify: NOTIFY.DELAY }),
    toMx('failure@there.test', { notify: NOTIFY.FAILURE }),
    toMx('never@there.test', { notify: NOTIFY.NEVER }),
  ];
  await world.enqueue({ queueId: 'Q1', to });
  await world.clock.pass(4 * HOUR);
  assert.deepEqual(world.dsns(), []);
  await world.clock.pass(DAY);
  assert.equal(world.dsns().length, 1);
  assert.deepEqual(actions(world), ['delayed', 'delayed']);
  assert.match(textOf(world), /^Will-Retry-Until: /m);
  assert.doesNotMatch(textOf(world), /failure@there|never@there/);
  await world.stop();
});

test('with warnAfterMs 0 only those who asked are told of a delay, at the first one', async () => {
  const world = createWorld({ warnAfterMs: 0 });
  world.remote.hosts.set('there.test', defers);
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('open@there.test'), toMx('asked@there.test', { notify: NOTIFY.DELAY })] });
  assert.deepEqual(actions(world), ['delayed']);
  await world.stop();
});

test('mail that waits for a dead site and was never tried is told of, too', async () => {
  const world = createWorld({ warnAfterMs: 4 * HOUR });
  world.remote.hosts.set('there.test', dead);
  await world.start();
  for (let n = 0; n < 20; n++) await world.enqueue({ queueId: `Q${n}`, to: [toMx('a@there.test')] });
  await world.clock.pass(8 * HOUR);
  assert.equal(world.dsns().length, 20);
  assert.equal(new Set(world.dsns().map(({ envelope }) => envelope?.parentQueueId)).size, 20);
  await world.stop();
});

test('expiry is told with the status of expiry and the last reply', async () => {
  const world = createWorld({ lifetimeMs: HOUR, warnAfterMs: 0 });
  world.remote.hosts.set('there.test', defers);
  await send(world, 0);
  await world.clock.pass(HOUR);
  assert.deepEqual(actions(world), ['failed']);
  assert.match(textOf(world), /^Status: 4\.4\.7\r$/m);
  assert.match(textOf(world), /^Diagnostic-Code: smtp; 451 4\.2\.1 come back\r$/m);
  await world.stop();
});

test('a long notification goes to the blob store', async () => {
  const world = createWorld({ notifyInlineOctets: 100 });
  world.remote.hosts.set('there.test', bounces);
  await send(world, 0);
  const place = world.dsns()[0]?.content?.place;
  assert.equal(place?.$case, 'blobKey');
  const text = place?.$case === 'blobKey' ? await world.blobs.get(place.value) : undefined;
  assert.match(Buffer.from(text ?? []).toString(), /Action: failed/);
  await world.stop();
});

test('every try of a notification goes by the lane table of the first one', async () => {
  const world = createWorld();
  const useTable = async (version: number) => {
    const value = { version, lanes: 2, localSpread: 1, spreads: [] };
    await world.log.append('mail.control', 0, [encodeRecord({ $case: 'laneTable', value })]);
    await settle();
  };
  world.remote.hosts.set('there.test', bounces);
  world.faults.fate = (topic) => (topic === 'mail.in.bulk' ? 'lost' : 'kept');
  await useTable(1);
  await send(world, 0);
  await useTable(2);
  world.faults.fate = () => 'kept';
  await world.clock.pass(10_000);
  assert.deepEqual(
    world.dsns().map(({ laneTableVersion }) => laneTableVersion),
    [1],
  );
  await world.stop();
});

test('a lost original does not keep the sender from being told', async () => {
  const world = createWorld();
  await world.blobs.put('shared/Q1', Buffer.from('Subject: x\r\n\r\n'));
  world.remote.hosts.set('there.test', async (job) => {
    await world.blobs.delete('shared/Q1');
    return every(job, { result: 'bounced', reply: answer(550, '5.1.1') });
  });
  await world.start();
  await world.enqueue({ queueId: 'Q1', to: [toMx('a@there.test')], blobKey: 'shared/Q1' });
  await settle();
  assert.equal(world.dsns().length, 1);
  assert.ok(world.lines.some(({ level, event }) => level === 'error' && event === 'delivery.original.missing'));
  await world.stop();
});

test('a delivery that overtakes a notice of delay withdraws it', async () => {
  const world = createWorld({ warnAfterMs: 0 });
  world.remote.hosts.set('there.test', defers);
  world.faults.fate = (topic) => (topic === 'mail.in.bulk' ? 'lost' : 'kept');
  await send(world, NOTIFY.DELAY);
  const late = { reply: undefined, dueAtMs: 0, attempts: 1, relayed: false, notifyId: '', notifyTableVersion: 0, remoteHost: '' };
  const recipients = [{ ...late, addresses: ['a@there.test'], result: Result.DELIVERED }];
  const value = { queueId: 'Q1', epoch: 0, attemptId: 'late', inDoubt: false, recipients };
  await world.log.append('mail.lane', 0, [encodeRecord({ $case: 'outcome', value })]);
  await settle();
  world.faults.fate = () => 'kept';
  await world.clock.pass(10_000);
  assert.deepEqual(world.dsns(), []);
  await world.stop();
});
