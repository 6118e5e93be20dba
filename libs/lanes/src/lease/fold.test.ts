import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRecord, encodeRecord, type Kind, type LeasedLane, type LeaseWriter } from '@angarium/records';
import { createLeaseFold, type LeaseFold } from './fold.ts';
import type { LeaseEvent } from './lease.ts';

const START_MS = 1e12;

/** A log that is folded as it grows, over the wire format. */
function createLog(from = 0) {
  const fold = createLeaseFold(from);
  const records: { offset: number; appendedAtMs: number; kind: Kind }[] = [];
  let sequence = 0;
  const log = {
    fold,
    records,
    nowMs: START_MS,
    writer: (incarnation: string, about: Partial<LeaseWriter> = {}): LeaseWriter => ({
      worker: incarnation,
      incarnation,
      logId: 'log',
      sequence: ++sequence,
      seen: from + records.length,
      seenAtMs: log.nowMs,
      ...about,
    }),
    append(kind: Kind): LeaseEvent {
      const decoded = decodeRecord(encodeRecord(kind));
      assert.ok(decoded.is === 'known');
      const record = { offset: from + records.length, appendedAtMs: log.nowMs, kind: decoded.kind };
      records.push(record);
      return fold.apply(record);
    },
    renew: (incarnation: string, lanes: readonly LeasedLane[] = [], about: Partial<LeaseWriter> = {}) =>
      log.append(renewal(log.writer(incarnation, about), lanes)),
    claim: (incarnation: string, lanes: readonly LeasedLane[], about: Partial<LeaseWriter> = {}) =>
      log.append({ $case: 'leaseClaim', value: { writer: log.writer(incarnation, about), lanes: [...lanes] } }),
    release: (incarnation: string, lanes: readonly LeasedLane[]) =>
      log.append({ $case: 'leaseRelease', value: { writer: log.writer(incarnation), lanes: [...lanes] } }),
    snapshot: (incarnation: string, about: Partial<LeaseWriter> = {}) =>
      log.append({ $case: 'leaseSnapshot', value: fold.snapshot(log.writer(incarnation, about)) }),
  };
  return log;
}

const renewal = (writer: LeaseWriter, lanes: readonly LeasedLane[]): Kind => ({
  $case: 'leaseRenewal',
  value: { writer, lanes: [...lanes], leaving: false, full: false, laneCount: 8, laneTableVersion: 1, address: '' },
});

const leased = (lane: number, epoch: number, about: Partial<LeasedLane> = {}): LeasedLane => ({
  lane,
  epoch,
  watermark: 0,
  recipients: 0,
  ...about,
});
const owner = (fold: LeaseFold, lane: number): string => `${fold.lanes.get(lane)?.owner ?? 'nobody'} ${fold.lanes.get(lane)?.epoch}`;

function beginning(from = 0) {
  const log = createLog(from);
  log.snapshot('a');
  return log;
}

test('before a snapshot nothing is known, not even what was read', () => {
  const log = createLog();
  assert.equal(log.renew('a').is, 'void');
  assert.equal(log.claim('a', [leased(0, 1)]).is, 'void');
  assert.equal(log.fold.isBased, false);
});

test('a claim holds if the owner was silent since what the claimer had seen', () => {
  const log = beginning();
  log.claim('a', [leased(0, 1), leased(1, 1)]);
  const seen = log.records.length;
  log.renew('a', [leased(1, 1)]);
  const event = log.claim('b', [leased(0, 2), leased(1, 2)], { seen });
  assert.deepEqual(event.is === 'claimed' && event.lanes, [0]);
  assert.deepEqual([owner(log.fold, 0), owner(log.fold, 1)], ['b 2', 'a 1']);
});

test('of two claims the first in the log holds', () => {
  const log = beginning();
  const seen = log.records.length;
  log.claim('a', [leased(0, 1)], { seen });
  log.claim('b', [leased(0, 1)], { seen });
  log.claim('c', [leased(0, 9)], { seen });
  assert.equal(owner(log.fold, 0), 'a 1');
});

test('a claim, a renewal and a release of an earlier epoch change nothing', () => {
  const log = beginning();
  log.claim('a', [leased(0, 1)]);
  log.release('a', [leased(0, 1)]);
  log.claim('a', [leased(0, 2)]);
  log.claim('a', [leased(0, 1)]);
  log.release('a', [leased(0, 1)]);
  const renewed = log.renew('a', [leased(0, 1, { watermark: 7 })]);
  assert.deepEqual(renewed.is === 'renewed' && renewed.lanes, []);
  assert.equal(owner(log.fold, 0), 'a 2');
  assert.equal(log.fold.lanes.get(0)?.watermark, 0);
});

test('an owner may raise its own epoch at any time', () => {
  const log = beginning();
  log.claim('a', [leased(0, 1)]);
  log.renew('a', [leased(0, 1)]);
  log.claim('a', [leased(0, 40)], { seen: 0 });
  assert.equal(owner(log.fold, 0), 'a 40');
});

test('a copy of a renewal is void, and so is one that came after a later one', () => {
  const log = beginning();
  log.claim('a', [leased(0, 1)]);
  const first = log.writer('a');
  const second = log.writer('a');
  assert.equal(log.append(renewal(second, [leased(0, 1)])).is, 'renewed');
  assert.equal(log.append(renewal(second, [leased(0, 1)])).is, 'void');
  assert.equal(log.append(renewal(first, [leased(0, 1)])).is, 'void');
});

test('what was longer on its way than a lease lasts is void, but for a release', () => {
  const log = beginning();
  const old = { seenAtMs: log.nowMs };
  log.claim('a', [leased(0, 1)]);
  log.nowMs += 6_000;
  assert.equal(log.renew('a', [leased(0, 1)], old).is, 'renewed');
  log.nowMs += 1;
  assert.equal(log.renew('a', [leased(0, 1)], old).is, 'void');
  assert.equal(log.claim('b', [leased(1, 1)], old).is, 'void');
  assert.equal(log.release('a', [leased(0, 1)]).is, 'released');
  assert.equal(owner(log.fold, 0), 'nobody 1');
});

test('of several beginnings the first names the log', () => {
  const log = createLog();
  assert.equal(log.snapshot('a', { logId: 'first' }).is, 'based');
  const late = createLeaseFold(0).snapshot(log.writer('b', { logId: 'second', seen: 0 }));
  assert.equal(log.append({ $case: 'leaseSnapshot', value: late }).is, 'void');
  assert.equal(log.fold.logId, 'first');
});

test('a record of another log is told and changes nothing', () => {
  const log = beginning();
  log.claim('a', [leased(0, 1)]);
  assert.deepEqual(log.claim('b', [leased(0, 2)], { logId: 'other' }), { is: 'foreign', logId: 'other' });
  assert.equal(owner(log.fold, 0), 'a 1');
});

test('a snapshot is of use only to a reader that has all records since its state', () => {
  const log = beginning();
  log.claim('a', [leased(0, 1)]);
  const seen = log.records.length;
  log.claim('a', [leased(1, 1)]);
  log.nowMs += 1_000;
  log.snapshot('a', { seen });
  const reading = (from: number): LeaseFold => {
    const fold = createLeaseFold(from);
    for (const record of log.records.slice(from)) fold.apply(record);
    return fold;
  };
  assert.equal(reading(seen + 1).isBased, false);
  // Its state is newer than it says; what lies between changes nothing when it is applied again.
  assert.deepEqual(reading(seen).lanes, log.fold.lanes);
});

test('a reader may start two snapshots back, and late copies of older ones do not change that', () => {
  const log = beginning();
  assert.equal(log.fold.watermark, 0);
  log.renew('a');
  const second = log.records.length;
  log.snapshot('a');
  log.renew('a');
  const third = log.records.length;
  log.snapshot('a');
  assert.equal(log.fold.watermark, second);
  log.snapshot('a', { seen: second });
  assert.equal(log.fold.watermark, second);
  log.snapshot('a');
  assert.equal(log.fold.watermark, third);
});

test('members are forgotten when they were silent for a minute and own nothing', () => {
  const log = beginning();
  log.renew('a');
  log.renew('b');
  log.claim('b', [leased(0, 1)]);
  log.nowMs += 60_001;
  log.renew('c');
  log.snapshot('c');
  assert.deepEqual([...log.fold.members.keys()], ['b', 'c']);
});

test('a snapshot that gives an epoch to another owner, or knows a higher one, is a contradiction', () => {
  const log = beginning();
  log.claim('a', [leased(0, 3)]);
  const { lanes, members } = log.fold.snapshot(log.writer('a'));
  for (const said of [{ owner: 'b' }, { lane: leased(0, 4) }, { owner: '' }]) {
    const wrong = lanes.map((lane) => ({ ...lane, ...said }));
    assert.equal(log.append({ $case: 'leaseSnapshot', value: { writer: log.writer('b'), lanes: wrong, members } }).is, 'diverged');
  }
});

test('kinds of other topics are void', () => {
  const log = beginning();
  assert.equal(log.append({ $case: 'logIncarnation', value: { incarnation: 1 } }).is, 'void');
});
