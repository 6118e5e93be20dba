import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AdminAction, Result } from '@angarium/records';
import {
  admin,
  blob,
  createJournal,
  deferred,
  enqueued,
  envelope,
  liveState,
  notified,
  outcome,
  owner,
  source,
} from './fixtures/journal.ts';
import type { LaneFold } from './fold.ts';
import { UnreadableRecord } from './unreadable.ts';

const addressesOf = (fold: LaneFold, queueId: string) => [...(fold.messages.get(queueId)?.recipients.keys() ?? [])].sort();

const queueIdsOf = (fold: LaneFold) => [...fold.messages.values()].map(({ queueId }) => queueId);

const rewrite = (journal: ReturnType<typeof createJournal>, queueId: string, content = blob('lane/x')) => {
  const message = journal.fold.messages.get(queueId);
  assert.ok(message);
  return journal.fold.moved(message, content).map((value) => ({ $case: 'moved', value }) as const);
};

test('a message is live from its enqueueing to its last final fact', () => {
  const { append, fold } = createJournal();
  const { admitted } = append(enqueued('A', ['a@x', 'b@y']));
  assert.deepEqual(
    admitted.map(({ address }) => address),
    ['a@x', 'b@y'],
  );
  assert.equal(append(outcome('A', ['a@x'])).finished[0]?.result, Result.DELIVERED);
  assert.equal(fold.liveRecipients, 1);
  const { ended } = append(outcome('A', ['b@y'], { result: Result.BOUNCED }));
  assert.equal(ended[0]?.queueId, 'A');
  assert.equal(fold.messages.size, 0);
  assert.deepEqual([fold.totals.enqueued, fold.totals.delivered, fold.totals.bounced], [2, 1, 1]);
});

test('a deferral sets the schedule, and an older or repeated one does not', () => {
  const { append, fold } = createJournal();
  append(enqueued('A', ['a@x']));
  append(deferred('A', ['a@x'], { attempts: 2, dueAtMs: 9000, attemptId: 'two' }));
  append(admin(AdminAction.FLUSH, 'A'));
  append(deferred('A', ['a@x'], { attempts: 2, dueAtMs: 9000, attemptId: 'two' }));
  append(deferred('A', ['a@x'], { attempts: 1, dueAtMs: 4000, attemptId: 'one' }));
  const recipient = fold.messages.get('A')?.recipients.get('a@x');
  assert.deepEqual([recipient?.attempts, recipient?.dueAtMs, recipient?.lastOutcome?.reply?.code], [2, 0, 451]);
});

test('a bounced recipient stays live until its notification is durable', () => {
  const { append, fold } = createJournal();
  append(enqueued('A', ['a@x', 'b@x']));
  const { notificationsAsked } = append(outcome('A', ['a@x', 'b@x'], { result: Result.BOUNCED, notifyId: 'N' }));
  assert.deepEqual(notificationsAsked, ['N']);
  assert.equal(fold.liveRecipients, 2);
  assert.deepEqual(
    fold.notification('N')?.recipients.map(({ address }) => address),
    ['a@x', 'b@x'],
  );
  const done = append(notified('A', 'N'));
  assert.deepEqual([done.notificationsDone, done.ended.length, fold.liveRecipients], [['N'], 1, 0]);
  assert.deepEqual([...fold.pendingNotifications()], []);
});

test('a notice of delay keeps the recipient waiting, and a delivery withdraws it', () => {
  const { append, fold } = createJournal();
  append(enqueued('A', ['a@x', 'b@x']));
  append(deferred('A', ['a@x', 'b@x'], { notifyId: 'D' }));
  assert.equal(fold.messages.get('A')?.recipients.get('a@x')?.state, 'waiting');
  append(outcome('A', ['a@x'], { attemptId: 'second' }));
  assert.deepEqual(
    fold.notification('D')?.recipients.map(({ address }) => address),
    ['b@x'],
  );
  append(notified('A', 'D'));
  const recipient = fold.messages.get('A')?.recipients.get('b@x');
  assert.deepEqual([recipient?.state, recipient?.delayNotified, recipient?.notifyId], ['waiting', true, '']);
});

test('after a barrier the old owner schedules nothing, but its final facts hold', () => {
  const { append, fold } = createJournal();
  append(owner(1));
  append(enqueued('A', ['a@x', 'b@x']));
  append(owner(2));
  append(deferred('A', ['a@x'], { epoch: 1, dueAtMs: 7000 }));
  assert.equal(fold.messages.get('A')?.recipients.get('a@x')?.dueAtMs, 0);
  append(outcome('A', ['b@x'], { epoch: 1 }));
  assert.deepEqual(addressesOf(fold, 'A'), ['a@x']);
});

test('the first final fact wins; a second delivery of another attempt is counted', () => {
  const { append, fold } = createJournal();
  append(enqueued('A', ['a@x', 'b@x']));
  append(outcome('A', ['a@x'], { attemptId: 'one' }));
  append(outcome('A', ['a@x'], { attemptId: 'one' }));
  assert.equal(append(outcome('A', ['a@x'], { attemptId: 'two' })).duplicates, 1);
  append(outcome('A', ['b@x'], { result: Result.BOUNCED, notifyId: 'N' }));
  append(outcome('A', ['b@x'], { attemptId: 'late' }));
  assert.deepEqual([fold.totals.delivered, fold.totals.bounced, fold.totals.duplicates, fold.totals.contradicted], [1, 1, 1, 1]);
  assert.deepEqual(fold.notification('N')?.recipients.length, 1);
});

test('recipients of a redelivery are merged one by one', () => {
  const { append, fold } = createJournal();
  append(enqueued('X', ['a@p']));
  append(outcome('X', ['a@p']));
  append(enqueued('Y', ['a@p']));
  append(enqueued('X', ['a@p', 'b@q']));
  assert.deepEqual(addressesOf(fold, 'X'), ['b@q']);
  append(enqueued('X', ['b@q', 'c@q'], { chunk: 1 }));
  assert.deepEqual(addressesOf(fold, 'X'), ['b@q', 'c@q']);
  assert.equal(fold.totals.enqueued, 4);
});

test('a source below the floor is a duplicate however long ago it finished', () => {
  const journal = createJournal();
  journal.append(enqueued('A', ['a@x'], { src: source(5) }));
  journal.append(outcome('A', ['a@x']));
  journal.nowMs += 86_400_000;
  journal.append(enqueued('B', ['b@x'], { src: source(9), floor: 6 }));
  journal.append(enqueued('A', ['a@x'], { src: source(5) }));
  assert.deepEqual(queueIdsOf(journal.fold), ['B']);
});

test('a source at or above the floor is known as finished while routing may redeliver it', () => {
  const journal = createJournal();
  journal.append(enqueued('A', ['a@x'], { src: source(6) }));
  journal.append(outcome('A', ['a@x']));
  journal.nowMs += 86_400_000;
  journal.append(enqueued('B', ['b@x'], { src: source(9), floor: 6 }));
  journal.append(enqueued('A', ['a@x'], { src: source(6), floor: 6 }));
  assert.deepEqual(queueIdsOf(journal.fold), ['B']);
});

test('a second copy within the lag of the floor is dropped', () => {
  const journal = createJournal();
  journal.append(enqueued('A', ['a@x'], { src: source(6) }));
  journal.append(outcome('A', ['a@x']));
  journal.nowMs += 20_000;
  journal.append(enqueued('A', ['a@x'], { src: source(6) }));
  assert.equal(journal.fold.messages.size, 0);
});

test('after the topic began anew its offsets are not below the floor', () => {
  const journal = createJournal();
  journal.append(enqueued('A', ['a@x'], { src: source(1000), floor: 990 }));
  journal.append(enqueued('B', ['b@x'], { src: source(0, { incarnation: 2 }), floor: 0 }));
  assert.deepEqual(queueIdsOf(journal.fold), ['A', 'B']);
});

test('a repeated notification is dropped although its source differs each time', () => {
  const journal = createJournal();
  const dsn = { envelope: envelope('D', { parentQueueId: 'A' }) };
  journal.append(enqueued('D', ['a@x'], { ...dsn, src: source(1) }));
  journal.append(outcome('D', ['a@x']));
  journal.nowMs += 3 * 3_600_000;
  journal.append(enqueued('D', ['a@x'], { ...dsn, src: source(500), floor: 490 }));
  assert.equal(journal.fold.messages.size, 0);
  journal.nowMs += 1_800_000;
  journal.append(owner(2));
  journal.append(enqueued('B', ['b@x'], { src: source(600), floor: 501 }));
  assert.equal(journal.fold.watermark(), 3);
  journal.fold.historyStarts(3);
  journal.append(enqueued('D', ['a@x'], { ...dsn, src: source(900), floor: 501 }));
  assert.deepEqual(queueIdsOf(journal.fold), ['B', 'D']);
});

test('a rewritten message changes nothing, lets the watermark pass and is rebuilt from the tail', () => {
  const journal = createJournal({ finalsKeptMs: 0 });
  journal.append(owner(1));
  journal.append(enqueued('A', ['a@x', 'b@x']));
  journal.append(deferred('A', ['a@x'], { attempts: 3 }));
  journal.append(outcome('A', ['b@x'], { result: Result.BOUNCED, notifyId: 'N' }));
  assert.equal(journal.fold.watermark(), 1);
  const before = liveState(journal.fold);
  for (const kind of rewrite(journal, 'A')) journal.append(kind);
  journal.nowMs += 1;
  journal.append(owner(1));
  assert.equal(journal.fold.watermark(), 4);
  assert.deepEqual(liveState(journal.fold), { ...Object(before), messages: Object(liveState(journal.fold)).messages });
  assert.deepEqual(liveState(journal.read(4)), liveState(journal.fold));
  assert.deepEqual(journal.fold.messages.get('A')?.content, { in: 'blob', key: 'lane/x', ownedByLane: true });
});

test('a late copy of a rewritten message revives nobody and holds the watermark', () => {
  const journal = createJournal({ finalsKeptMs: 60_000 });
  journal.append(owner(1));
  journal.append(enqueued('A', ['a@x', 'b@x']));
  const stuck = rewrite(journal, 'A');
  journal.append(outcome('A', ['a@x']));
  journal.append(outcome('A', ['b@x'], { attemptId: 'b' }));
  journal.nowMs += 20_000;
  for (const kind of stuck) assert.equal(journal.append(kind).admitted.length, 0);
  journal.append(owner(1));
  assert.equal(journal.fold.watermark(), 1);
  journal.nowMs += 60_000;
  journal.append(owner(1, { floors: [{ ...source(1) }] }));
  assert.equal(journal.fold.watermark(), 6);
  assert.equal(journal.fold.watermark(4), 1);
});

test('a rewritten message that was overtaken by an order does not undo it', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('A', ['a@x']));
  journal.append(deferred('A', ['a@x']));
  const overtaken = rewrite(journal, 'A');
  journal.append(admin(AdminAction.FLUSH, 'A'));
  for (const kind of overtaken) journal.append(kind);
  assert.equal(journal.fold.messages.get('A')?.recipients.get('a@x')?.dueAtMs, 0);
  assert.equal(journal.fold.messages.get('A')?.oldestOffset, 1);
});

test('a message that the reader does not know is created from an old owner, a known one is not moved by it', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('A', ['a@x']));
  const late = rewrite(journal, 'A');
  journal.append(owner(2));
  for (const kind of late) journal.append(kind);
  assert.equal(journal.fold.messages.get('A')?.oldestOffset, 1);
  assert.deepEqual(queueIdsOf(journal.read(2)), ['A']);
});

test('what is in doubt is held, these recipients only, until the fact or the instant', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('A', ['a@x', 'b@x']));
  journal.append({ $case: 'inDoubt', value: { epoch: 1, queueId: 'A', addresses: ['a@x'], untilMs: 50_000 } });
  journal.append(owner(2));
  const held = () => [...(journal.fold.messages.get('A')?.recipients.values() ?? [])].map(({ heldUntilMs }) => heldUntilMs);
  assert.deepEqual(held(), [50_000, 0]);
  assert.deepEqual(journal.fold.oldest(9), []);
  const change = journal.append(deferred('A', ['a@x'], { epoch: 1 }));
  assert.deepEqual([change.rescheduled.length, held()], [1, [0, 0]]);
});

test('a hold does not end with another transaction: one of an earlier owner, or a late copy of the one before', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('A', ['a@x']));
  journal.append(owner(2));
  journal.append({ $case: 'inDoubt', value: { epoch: 2, queueId: 'A', addresses: ['a@x'], untilMs: 50_000 } });
  journal.append(owner(3));
  const held = () => journal.fold.messages.get('A')?.recipients.get('a@x')?.heldUntilMs;
  assert.deepEqual(journal.append(deferred('A', ['a@x'], { epoch: 1 })).rescheduled, []);
  assert.equal(held(), 50_000);
  journal.append(deferred('A', ['a@x'], { epoch: 2 }));
  assert.equal(held(), 0);
  const first = deferred('A', ['a@x'], { epoch: 3, attempts: 2 });
  journal.append(first);
  journal.append({ $case: 'inDoubt', value: { epoch: 3, queueId: 'A', addresses: ['a@x'], untilMs: 60_000 } });
  journal.append(first);
  assert.equal(held(), 60_000);
  journal.append(deferred('A', ['a@x'], { epoch: 3, attempts: 3 }));
  assert.equal(held(), 0);
});

test('orders: delete is final, expire is left to delivery, flush makes due', () => {
  const { append, fold } = createJournal();
  append(enqueued('A', ['a@x', 'b@x', 'c@x']));
  append(deferred('A', ['a@x', 'b@x', 'c@x']));
  assert.equal(append(admin(AdminAction.DELETE, 'A', ['a@x'])).finished[0]?.result, Result.DISCARDED);
  append(admin(AdminAction.EXPIRE, 'A', ['b@x']));
  append(admin(AdminAction.FLUSH, 'A', ['c@x', 'unknown@x']));
  const recipients = [...(fold.messages.get('A')?.recipients.values() ?? [])];
  assert.deepEqual(
    recipients.map(({ address, dueAtMs, expiryForced }) => [address, dueAtMs, expiryForced]),
    [
      ['b@x', 0, true],
      ['c@x', 0, false],
    ],
  );
  assert.equal(fold.totals.discarded, 1);
});

test('the owner record is the next epoch with the floors, and counts young deaths of predecessors with mail', () => {
  const journal = createJournal();
  journal.append(owner(4));
  journal.append(enqueued('A', ['a@x'], { src: source(9), floor: 7 }));
  const first = journal.fold.ownerRecord('w', journal.nowMs + 5000);
  assert.deepEqual(first, {
    epoch: 5,
    owner: 'w',
    floors: [{ topic: 'mail.in', partition: 0, offset: 7, incarnation: 1 }],
    recentDeaths: 1,
  });
  journal.append({ $case: 'owner', value: first });
  assert.equal(journal.fold.recentDeaths, 1);
  assert.equal(journal.fold.ownerRecord('w', journal.nowMs + 5000).recentDeaths, 2);
  assert.equal(journal.fold.ownerRecord('w', journal.nowMs + 3_600_000).recentDeaths, 0);
});

test('the floors hold the watermark until they are repeated', () => {
  const journal = createJournal({ finalsKeptMs: 0 });
  journal.append(enqueued('A', ['a@x'], { src: source(9), floor: 7 }));
  journal.append(outcome('A', ['a@x']));
  journal.append(owner(1));
  journal.nowMs += 1;
  journal.append(enqueued('B', ['b@x'], { src: source(3, { partition: 1 }), floor: 10 }));
  journal.append(enqueued('C', ['c@x'], { src: source(11), floor: 10 }));
  assert.equal(journal.fold.watermark(), 2);
  journal.append({ $case: 'owner', value: journal.fold.floorsRecord('w') });
  assert.equal(journal.fold.floorsOffset, 5);
});

test('who announced an attempt and never ended it is suspected', () => {
  const journal = createJournal();
  journal.append(enqueued('A', ['a@x']));
  for (const epoch of [1, 2]) {
    journal.append(owner(epoch));
    journal.append({ $case: 'trying', value: { epoch, queueId: 'A' } });
  }
  assert.equal(journal.fold.suspects.get('A')?.owners, 2);
  journal.append(deferred('A', ['a@x'], { epoch: 2 }));
  assert.equal(journal.fold.suspects.size, 0);
});

test('what a lane cannot say halts it', () => {
  const { append } = createJournal();
  assert.throws(() => append({ $case: 'dead', value: { src: undefined, reason: '', queueId: '' } }), UnreadableRecord);
  for (const kind of [admin(AdminAction.UNSPECIFIED, 'A'), outcome('A', ['a@x'], { result: Result.UNSPECIFIED })]) {
    const journal = createJournal();
    journal.append(owner(1));
    assert.throws(() => journal.append(kind), UnreadableRecord);
    assert.equal(journal.fold.position, 1);
  }
});

test('a gap is no silent jump', () => {
  const { append, fold } = createJournal();
  append(owner(1));
  assert.throws(() => fold.apply({ offset: 2, appendedAtMs: 0, octets: 1, kind: owner(2) }), RangeError);
});
