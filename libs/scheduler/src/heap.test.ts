import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createHeap } from './heap.ts';

test('the first is always the smallest, whatever is added and taken out of the middle', () => {
  const operation = fc.record({ key: fc.nat(20), remove: fc.option(fc.nat(30)) });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200, size: 'max' }), (operations) => {
      const heap = createHeap<{ at: number; key: number }>((a, b) => a.key < b.key, {
        of: ({ at }) => at,
        set(member, at) {
          member.at = at;
        },
      });
      const members: { at: number; key: number }[] = [];
      for (const { key, remove } of operations) {
        const member = { at: -1, key };
        heap.add(member);
        members.push(member);
        const [gone] = remove === null ? [] : members.splice(remove % members.length, 1);
        if (gone !== undefined) {
          heap.remove(gone);
          heap.remove(gone);
        }
        assert.equal(heap.size, members.length);
        assert.equal(heap.first()?.key ?? -1, members.length === 0 ? -1 : Math.min(...members.map((one) => one.key)));
      }
      const drained: number[] = [];
      for (let first = heap.first(); first !== undefined; first = heap.first()) {
        drained.push(first.key);
        heap.remove(first);
      }
      assert.deepEqual(
        drained,
        members.map((one) => one.key).sort((a, b) => a - b),
      );
    }),
    { numRuns: 500 },
  );
});
