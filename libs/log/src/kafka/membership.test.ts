import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Answer, createFakeCluster } from './fixtures/fake-cluster.ts';
import { assign, decodeAssignment, encodeAssignment, Membership } from './membership.ts';
import type { PartitionRef } from './messages.ts';

const OPTIONS = { requestTimeoutMs: 500, sessionTimeoutMs: 5000, rebalanceTimeoutMs: 5000 };
const REF = { group: 'g', topics: ['mail.in'] };
const MEMBER_ID_REQUIRED = 79;
const NOT_COORDINATOR = 16;
const ILLEGAL_GENERATION = 22;
const REBALANCE_IN_PROGRESS = 27;

const partitions = fc.uniqueArray(fc.record({ topic: fc.constantFrom('mail.in', 'mail.in.bulk'), partition: fc.nat(99) }), {
  selector: ({ topic, partition }) => `${topic}/${partition}`,
});

test('an assignment is read as it was written', () => {
  fc.assert(
    fc.property(partitions, (all) => {
      const sorted = (some: readonly PartitionRef[]) => some.map(({ topic, partition }) => `${topic}/${partition}`).toSorted();
      assert.deepEqual(sorted(decodeAssignment(encodeAssignment(all))), sorted(all));
    }),
  );
  assert.deepEqual(decodeAssignment(Buffer.alloc(0)), []);
});

test('each partition goes to one member, and no member has two more than another', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 9 }), partitions, (members, all) => {
      const shares = [...assign(members, all).values()];
      assert.equal(shares.flat().length, all.length);
      assert.deepEqual(new Set(shares.flat()), new Set(all));
      const sizes = shares.map(({ length }) => length);
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
    }),
  );
});

/** A coordinator on broker 1 with this member alone. */
function createBench(changes: Partial<Record<string, (args: object) => unknown>> = {}) {
  const asked: string[] = [];
  const replies: Record<string, (args: object) => unknown> = {
    GroupCoordinator: () => ({ errorCode: 0, coordinator: { nodeId: 1 } }),
    JoinGroup: (args) => {
      const { memberId } = args as { memberId: string };
      const joined = { generationId: 4, leaderId: 'me', memberId: 'me', members: [{ memberId: 'me', memberMetadata: Buffer.alloc(0) }] };
      return { errorCode: memberId === '' ? MEMBER_ID_REQUIRED : 0, ...joined };
    },
    SyncGroup: (args) => ({
      errorCode: 0,
      memberAssignment: (args as { groupAssignment: readonly { memberAssignment: Buffer }[] }).groupAssignment[0]?.memberAssignment,
    }),
    Heartbeat: () => ({ errorCode: 0 }),
    OffsetCommit: () => ({ responses: [{ topic: 'mail.in', partitions: [{ partition: 0, errorCode: 0 }] }] }),
    ...changes,
  };
  const answer: Answer = ({ name, args }) => {
    asked.push(name);
    return replies[name]?.(args);
  };
  return { asked, membership: new Membership(createFakeCluster([1, 1], answer), REF, OPTIONS) };
}

const GENERATION = { id: 4, member: 'me', partitions: 2, assigned: [] };
const POSITION = { topic: 'mail.in', partition: 0, offset: 7 };

test('a member joins under the name that the coordinator gave it, and gets all partitions when it is alone', async () => {
  const { membership, asked } = createBench();
  const generation = await membership.join(new AbortController().signal);
  assert.deepEqual(generation, {
    id: 4,
    member: 'me',
    partitions: 2,
    assigned: [0, 1].map((partition) => ({ topic: 'mail.in', partition })),
  });
  assert.deepEqual(asked, ['GroupCoordinator', 'JoinGroup', 'JoinGroup', 'SyncGroup']);
});

test('a coordinator that has moved is looked for again', async () => {
  let isFirst = true;
  const moved = () => {
    const errorCode = isFirst ? NOT_COORDINATOR : 0;
    isFirst = false;
    return { errorCode };
  };
  const { membership, asked } = createBench({ Heartbeat: moved });
  assert.equal(await membership.heartbeat(GENERATION), 'good');
  assert.deepEqual(asked, ['GroupCoordinator', 'Heartbeat', 'GroupCoordinator', 'Heartbeat']);
});

test('a commit of an old generation is lost, whichever partition says so', async () => {
  const answer = (errorCode: number) => () => ({ responses: [{ topic: 'mail.in', partitions: [{ errorCode: 0 }, { errorCode }] }] });
  const standing = (errorCode: number) => createBench({ OffsetCommit: answer(errorCode) }).membership.commit(GENERATION, [POSITION]);
  assert.equal(await standing(0), 'good');
  assert.equal(await standing(ILLEGAL_GENERATION), 'lost');
  assert.equal(await standing(REBALANCE_IN_PROGRESS), 'changing');
  await assert.rejects(standing(30), { name: 'LogUnavailable', message: /GROUP_AUTHORIZATION_FAILED/ });
});

test('an abort ends a join that waits for others', async () => {
  const stop = new AbortController();
  const { membership } = createBench({
    JoinGroup: () => {
      stop.abort();
      throw new Error('closed');
    },
  });
  assert.equal(await membership.join(stop.signal), undefined);
});
