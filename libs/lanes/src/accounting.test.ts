import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Kind } from '@angarium/records';
import fc from 'fast-check';
import { type AccountingCheckpoint, createAccounting } from './accounting.ts';
import { accepted, blob, createJournal, enqueued, outcome, owner, source } from './fixtures/journal.ts';
import { createLaneFold } from './fold.ts';

type Entry = { readonly queueId: string; readonly addresses: readonly string[] };

const LANES = 2;
const IN = { topic: 'mail.in', partition: 0 };

/** An input partition and two lanes, with an accounting that has read all of them. */
function createMail() {
  const input: Entry[] = [];
  const lanes = Array.from({ length: LANES }, (_, lane) => createJournal({ lane }));
  const ends = () => lanes.map(({ records }) => records.length);
  const start = (from?: AccountingCheckpoint) => {
    const origin = { incarnation: 1, laneEnds: ends(), partitions: [{ ...IN, position: input.length }] };
    const accounting = createAccounting(from ?? origin);
    const folds = lanes.map((journal, lane) => {
      const fold = createLaneFold({ lane, incarnation: 1 });
      for (const record of journal.records) accounting.applyLane(lane, { ...record, octets: 1 }, fold.apply({ ...record, octets: 1 }));
      return fold;
    });
    const [at] = accounting.positions;
    for (const [offset, { queueId, addresses }] of input.entries())
      if (offset >= (at?.position ?? 0)) accounting.applyAccepted({ ...IN, offset }, accepted(queueId, addresses));
    return { accounting, folds };
  };
  let running = start();
  const mail = {
    accept(queueId: string, addresses: readonly string[]) {
      const offset = input.push({ queueId, addresses }) - 1;
      running.accounting.applyAccepted({ ...IN, offset }, accepted(queueId, addresses));
      return offset;
    },
    append(lane: number, kind: Kind) {
      const journal = lanes[lane];
      assert.ok(journal);
      journal.append(kind);
      const record = { ...journal.records.at(-1), octets: 1 } as Parameters<(typeof running)['accounting']['applyLane']>[1];
      const change = running.folds[lane]?.apply(record);
      assert.ok(change);
      running.accounting.applyLane(lane, record, change);
    },
    enqueue: (lane: number, offset: number, addresses: readonly string[], expanded: number) =>
      mail.append(lane, enqueued(input[offset]?.queueId ?? '', addresses, { src: source(offset), expandedRecipients: expanded })),
    commit: (offset: number) => running.accounting.committed({ ...IN, offset }, ends()),
    dead: (offset: number) => running.accounting.applyDead({ src: source(offset), reason: '', queueId: '' }),
    report: () => running.accounting.report(running.folds.reduce((sum, { waitingRecipients }) => sum + waitingRecipients, 0)),
    /** The process starts again from its checkpoint, as it was written to a file. */
    restart: (from: AccountingCheckpoint = running.accounting.checkpoint()) => {
      running = start(JSON.parse(JSON.stringify(from)) as AccountingCheckpoint);
      assert.ok(running.accounting.isReplayed);
    },
    checkpoint: () => running.accounting.checkpoint(),
    folds: () => running.folds,
  };
  return mail;
}

test('a message is unrouted, then waiting, then what became of it', () => {
  const mail = createMail();
  const offset = mail.accept('A', ['list@x']);
  assert.deepEqual([mail.report().unrouted, mail.report().difference], [1, 0]);
  mail.enqueue(0, offset, ['a@x'], 3);
  assert.equal(mail.report().difference, 0);
  mail.enqueue(1, offset, ['b@y', 'c@y'], 3);
  const { unrouted, queued, expanded } = mail.report();
  assert.deepEqual([unrouted, queued, expanded, mail.report().difference], [0, 3, 2, 0]);
  mail.append(0, outcome('A', ['a@x']));
  mail.append(1, outcome('A', ['b@y', 'c@y'], { result: 3, notifyId: 'N' }));
  const last = mail.report();
  assert.deepEqual([last.delivered, last.bounced, last.queued, last.difference], [1, 2, 0, 0]);
});

test('a second copy in the input topic and a repeated routing count once', () => {
  const mail = createMail();
  const first = mail.accept('A', ['a@x', 'b@y']);
  const copy = mail.accept('A', ['a@x', 'b@y']);
  for (const offset of [first, first, copy])
    for (const [lane, address] of ['a@x', 'b@y'].entries()) {
      mail.enqueue(lane, offset, [address], 2);
      assert.equal(mail.report().difference, 0);
    }
  mail.commit(2);
  assert.deepEqual([mail.report().accepted, mail.report().queued, mail.report().difference], [2, 2, 0]);
});

test('a redelivery that expands otherwise counts what is in the lanes', () => {
  const mail = createMail();
  const offset = mail.accept('A', ['list@x']);
  mail.enqueue(0, offset, ['a@x'], 2);
  mail.enqueue(0, offset, ['a@x', 'c@x'], 3);
  mail.enqueue(1, offset, ['d@y'], 3);
  mail.commit(1);
  assert.deepEqual([mail.report().queued, mail.report().expanded, mail.report().difference], [3, 2, 0]);
});

test('what routing passed and no lane has is the difference, until it comes', () => {
  const mail = createMail();
  const whole = mail.accept('A', ['a@x']);
  const part = mail.accept('B', ['list@x']);
  mail.enqueue(0, part, ['a@x'], 3);
  mail.commit(2);
  assert.equal(mail.report().difference, 3);
  assert.deepEqual(mail.report().overdue, [
    { ...IN, offset: whole, missing: 1 },
    { ...IN, offset: part, missing: 2 },
  ]);
  mail.restart();
  assert.equal(mail.report().difference, 3);
  mail.enqueue(1, part, ['b@y', 'c@y'], 3);
  mail.enqueue(1, whole, ['a@x'], 1);
  assert.deepEqual([mail.report().difference, mail.report().overdue], [0, []]);
});

test('a lane that was not read as far as the commit says is not missed', () => {
  const mail = createMail();
  const offset = mail.accept('A', ['a@x']);
  const accounting = createAccounting({ incarnation: 1, laneEnds: [0, 0], partitions: [{ ...IN, position: 0 }] });
  accounting.applyAccepted({ ...IN, offset }, accepted('A', ['a@x']));
  accounting.committed({ ...IN, offset: 1 }, [0, 1]);
  assert.equal(accounting.report(0).difference, 0);
  accounting.startLane(1, 1);
  accounting.committed({ ...IN, offset: 1 }, [0, 1]);
  assert.equal(accounting.report(0).difference, 1);
});

test('dead messages are queued, however their record and their message are read', () => {
  const mail = createMail();
  mail.dead(mail.accept('A', ['a@x', 'b@x']));
  mail.dead(0);
  mail.dead(1);
  mail.accept('B', ['a@x']);
  mail.commit(2);
  assert.deepEqual([mail.report().dead, mail.report().queued, mail.report().difference], [3, 3, 0]);
});

test('a message that a rewrite brings back from nowhere shows', () => {
  const mail = createMail();
  mail.enqueue(0, mail.accept('A', ['a@x']), ['a@x'], 1);
  const message = mail.folds()[0]?.messages.get('A');
  assert.ok(message);
  const [moved] = mail.folds()[0]?.moved(message, blob('own')) ?? [];
  assert.ok(moved);
  mail.append(1, { $case: 'moved', value: moved });
  assert.equal(mail.report().difference, -1);
});

test('a first start on a lane with mail carries it over', () => {
  const mail = createMail();
  mail.append(0, owner(1));
  mail.append(0, enqueued('A', ['a@x', 'b@x'], { src: source(0) }));
  const lanes = [mail.folds()[0]?.position ?? 0, 0];
  const accounting = createAccounting({ incarnation: 1, laneEnds: lanes, partitions: [{ ...IN, position: 9 }] });
  const fold = createLaneFold({ lane: 0, incarnation: 1 });
  for (const [offset, kind] of [owner(1), enqueued('A', ['a@x', 'b@x'], { src: source(0) })].entries()) {
    const record = { offset, appendedAtMs: 1, octets: 1, kind };
    accounting.applyLane(0, record, fold.apply(record));
  }
  const { carriedOver, queued, difference } = accounting.report(fold.waitingRecipients);
  assert.deepEqual([carriedOver, queued, difference], [2, 2, 0]);
});

interface Step {
  readonly what: number;
  readonly who: number;
  readonly lane: number;
}

function play(mail: ReturnType<typeof createMail>, { what, who, lane }: Step, accepted: number): void {
  if (what === 0) mail.accept(`M${who % 15}`, ['list@x']);
  else if (what <= 2 && accepted > 0) mail.enqueue(lane, who % accepted, [`r${lane}@x`], 2);
  else if (what === 3) mail.append(lane, outcome(`M${who % 15}`, [`r${lane}@x`]));
}

test('restarts at any moment change no count', () => {
  const step = fc.record({ what: fc.nat(5), who: fc.nat(20), lane: fc.nat(LANES - 1), keep: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const mail = createMail();
      let accepted = 0;
      let saved = mail.checkpoint();
      for (const one of steps) {
        play(mail, one, accepted);
        if (one.what === 0) accepted++;
        if (one.what === 4) saved = mail.checkpoint();
        const before = mail.report();
        assert.equal(before.difference, 0);
        if (one.what === 5) mail.restart(one.keep ? saved : mail.checkpoint());
        assert.deepEqual(mail.report(), before);
      }
    }),
    { numRuns: 500 },
  );
});
