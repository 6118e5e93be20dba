import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLaneTable, laneOf } from './table.ts';

const domains = Array.from({ length: 2000 }, (_, at) => `domain-${at}.example`);
const remote = (domain: string, queueId = 'A') => ({ domain, queueId, local: false });

test('lanes do not change from release to release', () => {
  const table = createLaneTable({ lanes: 16 });
  const lanes = ['example.org', 'example.com', '[192.0.2.1]', 'xn--bcher-kva.example'].map((domain) => laneOf(table, remote(domain)));
  assert.deepEqual(lanes, [1, 3, 0, 12]);
});

test('a domain has one lane, whatever the message', () => {
  const table = createLaneTable({ lanes: 16 });
  const lanes = new Set(Array.from({ length: 100 }, (_, at) => laneOf(table, remote('example.org', `M${at}`))));
  assert.equal(lanes.size, 1);
});

test('domains go evenly over the lanes', () => {
  const table = createLaneTable({ lanes: 16 });
  const counts = new Array<number>(16).fill(0);
  for (const domain of domains) counts[laneOf(table, remote(domain))] = (counts[laneOf(table, remote(domain))] ?? 0) + 1;
  for (const count of counts) assert.ok(count > 70 && count < 190, `${counts}`);
});

test('a spread domain takes exactly its lanes, a local one the table’s', () => {
  const table = createLaneTable({ lanes: 16, localSpread: 8, spreads: [{ domain: 'big.example', lanes: 3 }] });
  const lanesOf = (domain: string, local: boolean) =>
    new Set(Array.from({ length: 500 }, (_, at) => laneOf(table, { domain, queueId: `M${at}`, local }))).size;
  assert.deepEqual([lanesOf('big.example', false), lanesOf('big.example', true), lanesOf('here.example', true)], [3, 3, 8]);
  assert.equal(laneOf(createLaneTable({ lanes: 1 }), { domain: 'here.example', queueId: 'A', local: true }), 0);
});

test('more lanes take only what they win', () => {
  const [few, more] = [createLaneTable({ lanes: 16 }), createLaneTable({ lanes: 18 })];
  for (const domain of domains) {
    const lane = laneOf(more, remote(domain));
    assert.ok(lane >= 16 || lane === laneOf(few, remote(domain)), domain);
  }
});

test('a table needs at least one of everything', () => {
  assert.throws(() => createLaneTable({ lanes: 0 }), RangeError);
  assert.throws(() => createLaneTable({ spreads: [{ domain: 'x', lanes: 1.5 }] }), RangeError);
});
