// Schedules of events that a randomized model found to lose, double or revive mail under weaker rules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AdminAction, type Kind, Result } from '@angarium/records';
import {
  admin,
  blob,
  createJournal,
  deferred,
  enqueued,
  envelope,
  inline,
  type Journal,
  liveState,
  notified,
  outcome,
  owner,
  source,
} from './fixtures/journal.ts';
import { createLaneFold } from './fold.ts';

const MINUTE_MS = 60_000;
const KEPT_MS = 30 * MINUTE_MS;

const rewrite = (journal: Journal, queueId: string, content: Parameters<Journal['fold']['moved']>[1] = blob('own')): readonly Kind[] => {
  const message = journal.fold.messages.get(queueId);
  assert.ok(message);
  return journal.fold.moved(message, content).map((value) => ({ $case: 'moved', value }));
};

/** The lane goes on until nothing but live mail holds the watermark; then a new reader starts there. */
function trimAndCompare(journal: Journal): number {
  journal.nowMs += KEPT_MS + 1;
  journal.append(owner(journal.fold.epoch, { floors: [source(1000)] }));
  const low = journal.fold.watermark();
  assert.deepEqual(liveState(journal.read(low)), liveState(journal.fold));
  return low;
}

test('routing dies between two lanes and the lane table changes: nobody is left out', () => {
  // X has a@p for this lane and b@q for another one; on the redelivery both belong here.
  const { append, fold } = createJournal();
  append(enqueued('X', ['a@p']));
  append(outcome('X', ['a@p']));
  append(enqueued('X', ['a@p', 'b@q']));
  assert.deepEqual([...(fold.messages.get('X')?.recipients.keys() ?? [])], ['b@q']);
});

test('a cut-off owner lands its rewrite after the barrier and trims: the message is still there', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x']));
  journal.append(deferred('X', ['a@x'], { attempts: 2 }));
  const stuck = rewrite(journal, 'X');
  journal.append(owner(2));
  for (const kind of stuck) journal.append(kind);
  // The old owner believes that its rewrite counts, and trims the rest away.
  const late = createLaneFold({ lane: 0, incarnation: 1 });
  for (const record of journal.records.slice(3)) late.apply({ ...record, octets: 1 });
  assert.deepEqual(liveState(late), { ...Object(liveState(journal.fold)), messages: Object(liveState(late)).messages });
  assert.equal(late.messages.get('X')?.recipients.get('a@x')?.attempts, 2);
  // The owner that reads back knows better than to count it.
  assert.equal(journal.fold.watermark(), 1);
});

test('the retried copy of a rewrite lands after the outcome: nobody is revived, now or on a replay', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x', 'b@x']));
  const stuck = rewrite(journal, 'X');
  for (const kind of stuck) journal.append(kind);
  journal.append(outcome('X', ['a@x', 'b@x']));
  journal.nowMs += 20_000;
  for (const kind of stuck) journal.append(kind);
  assert.equal(journal.fold.messages.size, 0);
  const low = trimAndCompare(journal);
  assert.equal(low, 5);
});

test('final facts stay in the log for thirty minutes after the last record that mentions them', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x']));
  journal.append(outcome('X', ['a@x']));
  journal.nowMs += KEPT_MS - 1;
  journal.append(enqueued('X', ['a@x']));
  journal.nowMs += KEPT_MS - 1;
  journal.append(owner(1, { floors: [source(1000)] }));
  assert.equal(journal.fold.watermark(), 1);
  journal.nowMs += 1;
  journal.append(owner(1, { floors: [source(1000)] }));
  assert.equal(journal.fold.watermark(), 5);
});

test('routing stands still for two hours between writing and committing: its redelivery is still known', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x'], { src: source(7) }));
  journal.append(outcome('X', ['a@x']));
  journal.nowMs += 120 * MINUTE_MS;
  journal.append(owner(1));
  const reader = journal.read(journal.fold.watermark());
  assert.equal(journal.fold.watermark(), 1);
  const redelivery = { offset: 4, appendedAtMs: journal.nowMs, octets: 1, kind: enqueued('X', ['a@x'], { src: source(7) }) };
  assert.equal(reader.apply(redelivery).admitted.length, 0);
});

test('a notification that was appended twice is one, while either of its sources may be redelivered', () => {
  const journal = createJournal();
  const dsn = { envelope: envelope('D', { parentQueueId: 'X' }) };
  journal.append(owner(1));
  journal.append(enqueued('D', ['a@x'], { ...dsn, src: source(1) }));
  journal.append(outcome('D', ['a@x']));
  journal.append(enqueued('D', ['a@x'], { ...dsn, src: source(50), floor: 40 }));
  journal.nowMs += 120 * MINUTE_MS;
  journal.append(owner(1, { floors: [source(40)] }));
  assert.equal(journal.fold.watermark(), 1);
  assert.equal(journal.append(enqueued('D', ['a@x'], { ...dsn, src: source(50), floor: 40 })).admitted.length, 0);
  trimAndCompare(journal);
});

test('everything in mail.in comes again after the group was set back: the floors know it, also behind a trim', () => {
  const journal = createJournal();
  journal.append(owner(1));
  for (const at of [0, 1, 2]) {
    journal.append(enqueued(`X${at}`, ['a@x'], { src: source(at) }));
    journal.append(outcome(`X${at}`, ['a@x']));
  }
  trimAndCompare(journal);
  for (const at of [0, 1, 2]) assert.equal(journal.append(enqueued(`X${at}`, ['a@x'], { src: source(at) })).admitted.length, 0);
  const reader = journal.read(journal.fold.watermark());
  assert.equal(reader.messages.size, 0);
  trimAndCompare(journal);
});

test('a partition that fell silent: what told its floor stays until it is told again', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x'], { src: source(7) }));
  journal.append(outcome('X', ['a@x']));
  journal.append(enqueued('Y', ['a@x'], { src: source(20), floor: 20 }));
  journal.append(outcome('Y', ['a@x']));
  journal.append(enqueued('Z', ['a@x'], { src: source(3, { partition: 1 }) }));
  journal.nowMs += KEPT_MS + 1;
  journal.append(owner(1, { floors: [source(21)] }));
  journal.append(owner(1));
  for (const expected of [5, 5]) {
    assert.equal(journal.fold.watermark(), expected);
    assert.equal(journal.append(enqueued('X', ['a@x'], { src: source(7) })).admitted.length, 0);
    assert.deepEqual(liveState(journal.read(expected)), liveState(journal.fold));
  }
  journal.append(outcome('Z', ['a@x']));
  journal.nowMs += KEPT_MS + 1;
  journal.append(enqueued('V', ['a@x'], { src: source(9, { partition: 1 }), floor: 9 }));
  journal.append(owner(1));
  assert.equal(journal.fold.floorsOffset, 6);
  assert.equal(journal.fold.watermark(), 6);
  journal.append({ $case: 'owner', value: journal.fold.floorsRecord('w') });
  assert.equal(journal.fold.watermark(), journal.fold.messages.get('V')?.oldestOffset);
});

test('a message in two records is as old as the first for every reader', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x'], { content: blob('shared', false), src: source(7) }));
  journal.nowMs += MINUTE_MS;
  journal.append(enqueued('X', ['b@x'], { content: blob('shared', false), src: source(7), chunk: 1 }));
  journal.append(outcome('X', ['a@x']));
  for (const kind of rewrite(journal, 'X')) journal.append(kind);
  assert.equal(trimAndCompare(journal), 4);
  assert.equal(journal.fold.watermark(2), 1);
});

test('a big list is cut anywhere and comes again cut elsewhere', () => {
  const journal = createJournal();
  const all = Array.from({ length: 10 }, (_, at) => `r${at}@x`);
  journal.append(owner(1));
  journal.append(enqueued('X', all.slice(0, 4), { chunk: 0 }));
  journal.append(enqueued('X', all.slice(0, 6), { chunk: 0 }));
  journal.append(enqueued('X', all.slice(6), { chunk: 1 }));
  assert.deepEqual([...(journal.fold.messages.get('X')?.recipients.keys() ?? [])], all);
  assert.equal(journal.fold.totals.enqueued, 10);
  journal.append(outcome('X', all.slice(0, 6)));
  trimAndCompare(journal);
});

test('a rewrite of 2,500 recipients is three records, and a batch cut after the first loses nothing', () => {
  const journal = createJournal();
  const all = Array.from({ length: 2500 }, (_, at) => `recipient-${at}@x`);
  journal.append(owner(1));
  journal.append(enqueued('X', all));
  const records = rewrite(journal, 'X');
  assert.deepEqual(
    records.map((kind) => kind.$case === 'moved' && kind.value.recipients.length),
    [1000, 1000, 500],
  );
  for (const kind of records.slice(0, 1)) journal.append(kind);
  assert.equal(journal.fold.messages.get('X')?.oldestOffset, 1);
  for (const kind of records) journal.append(kind);
  assert.equal(trimAndCompare(journal), 3);
});

test('records of a rewrite keep below 400 KiB', () => {
  const journal = createJournal();
  const long = Array.from({ length: 999 }, (_, at) => `${at}${'x'.repeat(900)}@x`);
  journal.append(enqueued('X', long));
  const sizes = rewrite(journal, 'X').map((kind) =>
    kind.$case === 'moved' ? kind.value.recipients.reduce((sum, one) => sum + (one.recipient?.address.length ?? 0), 0) : 0,
  );
  assert.equal(sizes.length, 3);
  for (const size of sizes) assert.ok(size <= 400 * 1024);
});

test('a bounce that was told is not taken back by the old owner, nor told twice', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x', 'b@x']));
  journal.append(owner(2));
  journal.append(outcome('X', ['b@x'], { epoch: 2, attemptId: 'new', result: Result.BOUNCED, notifyId: 'N2' }));
  journal.append(outcome('X', ['a@x', 'b@x'], { epoch: 1, attemptId: 'old', result: Result.BOUNCED, notifyId: 'N1' }));
  const named = (id: string) => journal.fold.notification(id)?.recipients.map(({ address }) => address);
  assert.deepEqual([named('N1'), named('N2')], [['a@x'], ['b@x']]);
  for (const kind of rewrite(journal, 'X')) journal.append(kind);
  trimAndCompare(journal);
  journal.append(notified('X', 'N1'));
  journal.append(notified('X', 'N1'));
  assert.equal(journal.fold.liveRecipients, 1);
});

test('a second copy of a deferral, after a rewrite and an order, means the same to every reader', () => {
  const journal = createJournal();
  const deferral = deferred('X', ['a@x'], { attempts: 1, dueAtMs: 9e9 });
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x']));
  journal.append(deferral);
  for (const kind of rewrite(journal, 'X')) journal.append(kind);
  journal.append(admin(AdminAction.FLUSH, 'X'));
  journal.append(deferral);
  trimAndCompare(journal);
});

test('what is held or ordered to expire is not rewritten before that is over', () => {
  const kinds: readonly Kind[] = [
    { $case: 'inDoubt', value: { epoch: 1, queueId: 'X', addresses: ['a@x'], untilMs: 9e9 } },
    admin(AdminAction.EXPIRE, 'X'),
  ];
  for (const [at, kind] of kinds.entries()) {
    const journal = createJournal();
    journal.append(owner(1));
    journal.append(enqueued('X', ['a@x']));
    const early = rewrite(journal, 'X');
    journal.append(kind);
    for (const record of early) journal.append(record);
    assert.equal(trimAndCompare(journal), 1, `case ${at}`);
    assert.deepEqual(journal.fold.oldest(1), []);
  }
});

test('a late rewrite does not lead back from the lane’s own copy of the content', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x'], { content: blob('shared', false) }));
  const first = rewrite(journal, 'X', blob('shared', false));
  for (const kind of first) journal.append(kind);
  for (const kind of rewrite(journal, 'X')) journal.append(kind);
  for (const kind of first) journal.append(kind);
  assert.deepEqual(journal.fold.messages.get('X')?.content, { in: 'blob', key: 'own', ownedByLane: true });
  trimAndCompare(journal);
});

test('a rewrite may carry the content itself', () => {
  const journal = createJournal();
  journal.append(owner(1));
  journal.append(enqueued('X', ['a@x']));
  for (const kind of rewrite(journal, 'X', inline)) journal.append(kind);
  assert.deepEqual(journal.fold.messages.get('X')?.content, { in: 'record', offset: 2 });
  assert.equal(trimAndCompare(journal), 2);
});

test('rewritten messages go to the end of the order in which messages are rewritten', () => {
  const journal = createJournal();
  for (const id of ['A', 'B', 'C']) journal.append(enqueued(id, ['a@x']));
  for (const kind of rewrite(journal, 'A')) journal.append(kind);
  assert.deepEqual(
    journal.fold.oldest(9).map(({ queueId }) => queueId),
    ['B', 'C', 'A'],
  );
});
