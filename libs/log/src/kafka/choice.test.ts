import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Append, AppendQueue } from './append-queue.ts';
import { createChoice } from './choice.ts';
import { createFakeCluster } from './fixtures/fake-cluster.ts';
import { Slots } from './slots.ts';

const IN = 'mail.in';

/** Partitions by their leaders; a record that is alone on its partition goes out at once, others wait behind it. */
function createBench(leaders: number[]) {
  const queues = leaders.map((_, partition) => new AppendQueue(IN, partition));
  let nowMs = 0;
  const choose = createChoice({
    cluster: createFakeCluster(leaders, () => Promise.reject(new Error('nothing is sent'))),
    slots: new Slots(1),
    queueOf: (_, partition) => queues[partition] as AppendQueue,
    nowMs: () => nowMs,
    chance: () => 0,
  });
  return {
    queues,
    pass: (ms: number) => {
      nowMs += ms;
    },
    append: (octets = 100): number => {
      const partition = choose(IN);
      const queue = queues[partition] as AppendQueue;
      const ends = { resolve: () => {}, reject: () => {} };
      const append: Append = { values: [Buffer.alloc(1)], octets, sinceMs: 0, mayBeWritten: false, isSettled: false, ...ends };
      queue.add(append);
      if (queue.sending.length === 0) queue.take();
      return partition;
    },
  };
}

test('records that come while a call is on its way wait together, and one more than a call takes together goes to an idle broker', () => {
  const { append } = createBench([1, 2, 3]);
  const chosen = Array.from({ length: 66 }, () => append());
  assert.deepEqual(new Set(chosen.slice(0, 65)).size, 1, 'one on its way, 64 behind it');
  assert.notEqual(chosen[65], chosen[0]);
});

test('large records do not wait for one call', () => {
  const { append } = createBench([1, 2]);
  const chosen = [append(), append(900 * 1024), append()];
  assert.equal(chosen[1], chosen[0]);
  assert.notEqual(chosen[2], chosen[0]);
});

test('each partition gets its turn, also when no call ends between two records', () => {
  const { append, pass } = createBench([1, 2, 3]);
  const chosen = new Set<number>();
  for (let turn = 0; turn < 3; turn++, pass(250)) {
    chosen.add(append());
    append();
  }
  assert.deepEqual(chosen, new Set([0, 1, 2]));
});

test('when no call is on its way, a record goes at once, to each partition by turns', () => {
  const { append, queues } = createBench([1, 2, 3]);
  const chosen = Array.from({ length: 6 }, () => {
    const partition = append();
    for (const one of queues[partition]?.sending ?? []) one.isSettled = true;
    queues[partition]?.putBack();
    return partition;
  });
  assert.deepEqual(chosen, [0, 1, 2, 0, 1, 2]);
});
