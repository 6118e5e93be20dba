import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Kind } from '@angarium/records';
import { createControlFold } from './control.ts';
import { createLaneTable } from './table.ts';

const suspension = (scope: string, suspended: boolean): Kind => ({
  $case: 'suspension',
  value: { scope, suspended, reason: 'because', atMs: 1 },
});
const limit = (name: string, ordered: boolean, connections = 1): Kind => ({
  $case: 'limitOrder',
  value: { name, ordered, connections, perMs: 1000, reason: 'because', atMs: 1 },
});
const table = (version: number, lanes = 16): Kind => ({ $case: 'laneTable', value: createLaneTable({ version, lanes }) });
const incarnation = (value: number): Kind => ({ $case: 'logIncarnation', value: { incarnation: value } });

function readAll(kinds: readonly Kind[], from = 0) {
  const fold = createControlFold();
  for (const [offset, kind] of kinds.entries()) if (offset >= from) fold.apply({ offset, kind });
  return fold;
}

test('suspensions come and go, tables stay by version, the incarnation only grows', () => {
  const fold = readAll([suspension('all', true), table(2), table(1, 8), suspension('all', false), incarnation(3), incarnation(2)]);
  assert.equal(fold.suspensions.size, 0);
  assert.deepEqual([fold.laneTable?.version, fold.laneTables.get(1)?.lanes, fold.incarnation], [2, 8, 3]);
});

test('the last order about a limit holds, until it is taken back', () => {
  const fold = readAll([limit('a', true), limit('b', true), limit('a', true, 7), limit('b', false)]);
  assert.deepEqual(
    [...fold.limitOrders.values()].map(({ name, connections }) => [name, connections]),
    [['a', 7]],
  );
});

test('a version of the lane table never changes', () => {
  assert.equal(readAll([table(1, 8), table(1, 16)]).laneTables.get(1)?.lanes, 8);
});

test('a reader from the watermark knows what one from the beginning knows', () => {
  const kinds = [incarnation(1), table(1), suspension('tenant:a', true), suspension('all', true), limit('a', true)];
  const whole = [...kinds, { $case: 'controlSnapshot', value: readAll(kinds).snapshot() } as const, suspension('all', false)];
  const fold = readAll(whole);
  assert.equal(fold.watermark, 5);
  assert.equal(fold.limitOrders.size, 1);
  assert.deepEqual(readAll(whole, fold.watermark).snapshot(), fold.snapshot());
});

test('a snapshot that another record overtook is no place to start, and takes nothing back', () => {
  const kinds = [table(1), suspension('all', true)];
  const overtaken = [...kinds, suspension('all', false), { $case: 'controlSnapshot', value: readAll(kinds).snapshot() } as const];
  assert.deepEqual([readAll(overtaken).watermark, readAll(overtaken).suspensions.size], [0, 0]);
});
