import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { chunksOf } from './chunks.ts';

test('chunks hold all rows in order, and their sizes are powers of two up to 128', () => {
  fc.assert(
    fc.property(fc.array(fc.integer(), { maxLength: 700 }), (rows) => {
      const chunks = [...chunksOf(rows)];
      assert.deepEqual(chunks.flat(), rows);
      for (const { length } of chunks) assert.ok(length <= 128 && Number.isInteger(Math.log2(length)));
    }),
  );
});
