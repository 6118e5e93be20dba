import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGroupCommit } from './group-commit.ts';

class DiskFull extends Error {}

/** Records its groups; each waits for `release`. */
function heldCommits() {
  const groups: (readonly string[])[] = [];
  const releases: (() => void)[] = [];
  const commit = async (items: readonly string[]) => {
    groups.push(items);
    await new Promise<void>((resolve) => releases.push(resolve));
    if (items.includes('full')) throw new DiskFull();
    if (items.includes('poison')) throw new Error('poison');
    return items.map((item) => item.toUpperCase());
  };
  const grouped = createGroupCommit({
    commit,
    maxWeight: 10,
    weightOf: (item: string) => item.length,
    isEverybodys: (reason) => reason instanceof DiskFull,
  });
  const releaseAll = async () => {
    const idle = grouped.idle();
    let isIdle = false;
    void idle.then(() => {
      isIdle = true;
    });
    while (!isIdle) {
      releases.shift()?.();
      await new Promise(setImmediate);
    }
  };
  return { groups, grouped, releaseAll };
}

test('items that arrive during a commit share the next one, and each gets its own result', async () => {
  const { groups, grouped, releaseAll } = heldCommits();
  const first = grouped.add('a');
  await new Promise(setImmediate);
  const rest = [grouped.add('b'), grouped.add('c')];
  await releaseAll();
  assert.deepEqual(await Promise.all([first, ...rest]), ['A', 'B', 'C']);
  assert.deepEqual(groups, [['a'], ['b', 'c']]);
});

test('a group stays within the weight, and a heavier item goes alone', async () => {
  const { groups, grouped, releaseAll } = heldCommits();
  const results = ['12345', '67890', '1', 'heavier than ten', 'z'].map((item) => grouped.add(item));
  await releaseAll();
  await Promise.all(results);
  assert.deepEqual(groups, [['12345', '67890'], ['1'], ['heavier than ten'], ['z']]);
});

test('an item that no commit takes fails alone', async () => {
  const { grouped, releaseAll } = heldCommits();
  const settled = Promise.allSettled(['a', 'poison', 'b'].map((item) => grouped.add(item)));
  await releaseAll();
  assert.deepEqual(
    (await settled).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});

test('a full disk fails the group at once, and the next group is tried again', async () => {
  const { groups, grouped, releaseAll } = heldCommits();
  const settled = Promise.allSettled(['a', 'full'].map((item) => grouped.add(item)));
  await releaseAll();
  assert.deepEqual(
    (await settled).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(groups.length, 1);
  const next = grouped.add('c');
  await releaseAll();
  assert.equal(await next, 'C');
});
