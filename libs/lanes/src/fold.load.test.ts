import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { decodeRecord, encodeRecord, type Kind } from '@angarium/records';
import { deferred, enqueued, envelope, outcome, owner, source } from './fixtures/journal.ts';
import { createLaneFold, type LaneFold } from './fold.ts';
import { createLaneTable, laneOf } from './table.ts';

const MESSAGES = 100_000;
const OCTETS_PER_MESSAGE = 280;
const TIMES_DECODING = 8;
const AT_ONCE = 2000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const heap = () => {
  // Buffers go with the second one.
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

const id = (at: number) => `01JD0000000000000000${String(at).padStart(6, '0')}`;
const address = (at: number) => `recipient.${at}@customer-${at % 5000}.example`;

function mail(at: number): Kind {
  const fields = { reversePath: `news@sender-${at % 100}.example`, messageId: `<${at}.20260101120000@mail.sender.example>` };
  return enqueued(id(at), [address(at)], { src: source(at), envelope: envelope(id(at), fields) });
}

/** Applies what a reader gets, octets included, since the strings of a decoded record are its own. */
function fill(fold: LaneFold, kinds: Iterable<Kind>): void {
  for (const kind of kinds) {
    const decoded = decodeRecord(encodeRecord(kind));
    assert.equal(decoded.is, 'known');
    if (decoded.is === 'known') fold.apply({ offset: fold.position, appendedAtMs: 1_700_000_000_000, octets: 1, kind: decoded.kind });
  }
}

const each = function* (make: (at: number) => Kind) {
  for (let at = 0; at < MESSAGES; at++) yield make(at);
};

test('a queued message of one recipient takes at most 280 octets, deferred or not', () => {
  const fold = createLaneFold({ lane: 0, incarnation: 1 });
  fill(fold, [owner(1)]);
  const before = heap();
  fill(fold, each(mail));
  const queued = (heap() - before) / MESSAGES;
  assert.ok(queued <= OCTETS_PER_MESSAGE, `${queued} octets`);
  fill(
    fold,
    each((at) => deferred(id(at), [address(at)], { attemptId: id(at), dueAtMs: 1_700_000_300_000 + at })),
  );
  const waiting = (heap() - before) / MESSAGES;
  assert.ok(waiting <= OCTETS_PER_MESSAGE, `deferred: ${waiting} octets`);
  assert.equal(fold.waitingRecipients, MESSAGES);
  assert.ok(fold.watermark() === 1);
});

test('what is finished takes at most 200 octets while it must be known', () => {
  const fold = createLaneFold({ lane: 0, incarnation: 1 });
  const before = heap();
  for (let at = 0; at < MESSAGES; at++) fill(fold, [mail(at), outcome(id(at), [address(at)], { attemptId: id(at) })]);
  const finished = (heap() - before) / MESSAGES;
  assert.ok(finished <= 200, `${finished} octets`);
});

/** Octets of records, some thousands at a time. */
function* encoded(): Generator<readonly Uint8Array[]> {
  const values = [...each(mail), ...each((at) => outcome(id(at), [address(at)], { attemptId: id(at) }))].map((kind) => encodeRecord(kind));
  for (let from = 0; from < values.length; from += AT_ONCE) yield values.slice(from, from + AT_ONCE);
}

const cpuUs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return user + system;
};

// Against something of the same run: how fast the machine is at the moment falls on both.
test('a fold applies a record in at most eight times what decoding it takes, however many it has', () => {
  const fold = createLaneFold({ lane: 0, incarnation: 1 });
  let [decodingUs, applyingUs] = [0, 0];
  for (const values of encoded()) {
    const startedUs = cpuUs();
    const kinds = values.map((value) => decodeRecord(value));
    const decodedUs = cpuUs();
    for (const decoded of kinds) {
      assert.equal(decoded.is, 'known');
      if (decoded.is === 'known') fold.apply({ offset: fold.position, appendedAtMs: 1_700_000_000_000, octets: 1, kind: decoded.kind });
    }
    applyingUs += cpuUs() - decodedUs;
    decodingUs += decodedUs - startedUs;
  }
  assert.ok(applyingUs <= TIMES_DECODING * decodingUs, `${applyingUs / decodingUs} times`);
});

test('the lane of a mailbox is found 300,000 times a second', () => {
  const table = createLaneTable({ lanes: 128 });
  const started = process.cpuUsage();
  for (let at = 0; at < MESSAGES; at++) laneOf(table, { domain: `customer-${at % 5000}.example`, queueId: id(at), local: false });
  assert.ok(process.cpuUsage(started).user <= (MESSAGES / 300_000) * 1e6);
});
