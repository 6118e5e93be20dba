import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareCosts } from './costs.ts';

test('a cost that grew beyond its tolerance is told, one within it or below is not', () => {
  const was = { batches: 2, records: 3, octets: 100 };
  assert.deepEqual(compareCosts(was, { batches: 2.19, records: 3.1, octets: 50 }, { batches: 0.1 }), []);
  assert.deepEqual(compareCosts(was, { batches: 2.21, records: 3.2, octets: 100 }, { batches: 0.1 }), [
    'batches: 2.210, was 2.000, at most 2.200',
    'records: 3.200, was 3.000, at most 3.150',
  ]);
});

test('a cost that is not measured any more is told', () => {
  assert.deepEqual(compareCosts({ records: 3 }, {}, {}), ['records: not measured any more']);
});
