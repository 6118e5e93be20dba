import { setTimeout as pause } from 'node:timers/promises';
import { type Cluster, LogUnavailable } from './cluster.ts';
import { BrokerTrouble, errorName } from './connection.ts';
import type { PartitionRef } from './messages.ts';
import { isPassing } from './reads.ts';

export interface MembershipOptions {
  readonly requestTimeoutMs: number;
  /** A member that is not heard of for so long has died: its partitions go to others. */
  readonly sessionTimeoutMs: number;
  /** How long the group waits at a change for members whose batches still run. */
  readonly rebalanceTimeoutMs: number;
}

/** One round of the group: who has which partitions until the next change. */
export interface Generation {
  readonly id: number;
  readonly member: string;
  readonly assigned: readonly PartitionRef[];
}

/** `changing`: join again, after what runs; `lost`: the partitions may be somebody else's already. */
export type Standing = 'good' | 'changing' | 'lost';

export interface PositionOf extends PartitionRef {
  readonly offset: number;
}

/** A member of a Kafka consumer group, by the classic protocol. */
export interface Membership {
  /** Joins and waits for the assignment. Undefined when the signal aborts. */
  join(signal: AbortSignal): Promise<Generation | undefined>;
  heartbeat(generation: Generation): Promise<Standing>;
  commit(generation: Generation, positions: readonly PositionOf[]): Promise<Standing>;
  /** Offset by "topic/partition", for those that were committed. */
  committed(partitions: readonly PartitionRef[]): Promise<ReadonlyMap<string, number>>;
  leave(): Promise<void>;
}

const MEMBER_ID_REQUIRED = 79;
const UNKNOWN_MEMBER = 25;
const REBALANCE_IN_PROGRESS = 27;
/** Illegal generation, unknown member, fenced. */
const LOST = new Set([22, UNKNOWN_MEMBER, 82]);
/** Coordinator loading, not available, not this one; and what passes everywhere. */
const isRetried = (code: number): boolean => code === 14 || code === 15 || code === 16 || isPassing(code);
const RETRY_MS = 100;
/** Tries of one request before its caller hears of the trouble. */
const TRIES = 20;
const PROTOCOL = 'angarium';

interface Joined {
  readonly errorCode: number;
  readonly generationId: number;
  readonly leaderId: string;
  readonly memberId: string;
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[];
}

/** Topics with numbers as the consumer protocol writes them, version 0: other tools can read who has what. */
export function encodeAssignment(partitions: readonly PartitionRef[]): Buffer {
  const topics = Map.groupBy(partitions, ({ topic }) => topic);
  const parts: Buffer[] = [int(0, 2), int(topics.size, 4)];
  for (const [topic, all] of topics) parts.push(text(topic), int(all.length, 4), ...all.map(({ partition }) => int(partition, 4)));
  return Buffer.concat([...parts, int(0, 4)]);
}

export function decodeAssignment(octets: Buffer): readonly PartitionRef[] {
  const found: PartitionRef[] = [];
  if (octets.length < 6) return found;
  let at = 6;
  for (let topics = octets.readInt32BE(2); topics > 0; topics--) {
    const size = octets.readInt16BE(at);
    const topic = octets.toString('utf8', at + 2, at + 2 + size);
    at += 2 + size;
    const count = octets.readInt32BE(at);
    at += 4;
    for (let left = count; left > 0; left--, at += 4) found.push({ topic, partition: octets.readInt32BE(at) });
  }
  return found;
}

const encodeSubscription = (topics: readonly string[]): Buffer =>
  Buffer.concat([int(0, 2), int(topics.length, 4), ...topics.map(text), int(0, 4)]);

function int(value: number, octets: 2 | 4): Buffer {
  const buffer = Buffer.alloc(octets);
  buffer.writeIntBE(value, 0, octets);
  return buffer;
}
const text = (value: string): Buffer => Buffer.concat([int(Buffer.byteLength(value), 2), Buffer.from(value)]);

/** Deals the partitions out: each member gets as many as any other, or one more. */
export function assign(members: readonly string[], partitions: readonly PartitionRef[]): ReadonlyMap<string, readonly PartitionRef[]> {
  const sorted = members.toSorted();
  return new Map(sorted.map((member, at) => [member, partitions.filter((_, number) => number % sorted.length === at)]));
}

interface GroupRequest<T> {
  readonly name: string;
  readonly args: object;
  readonly codeOf: (answer: T) => number;
  readonly timeoutMs?: number;
  readonly purpose?: 'group' | 'commit';
}

interface Plain {
  readonly errorCode: number;
}
const plainCode = ({ errorCode }: Plain): number => errorCode;

interface Partitioned {
  readonly errorCode?: number;
  readonly responses: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly offset: string; readonly errorCode: number }[];
  }[];
}
/** The first error of any partition. */
const partitionedCode = ({ errorCode = 0, responses }: Partitioned): number =>
  errorCode !== 0 ? errorCode : (responses.flatMap(({ partitions }) => partitions).find((one) => one.errorCode !== 0)?.errorCode ?? 0);

function byTopic<T extends PartitionRef>(all: readonly T[]) {
  return [...Map.groupBy(all, ({ topic }) => topic)].map(([topic, partitions]) => ({ topic, partitions }));
}

export interface GroupRef {
  readonly group: string;
  readonly topics: readonly string[];
}

export function createMembership(cluster: Cluster, { group, topics }: GroupRef, options: MembershipOptions): Membership {
  const { requestTimeoutMs, sessionTimeoutMs, rebalanceTimeoutMs } = options;
  const groupId = group;
  let coordinator: number | undefined;
  let member = '';

  const findCoordinator = async (): Promise<number> => {
    for (const node of cluster.brokers().toSorted((a, b) => Number(cluster.isAvoided(a)) - Number(cluster.isAvoided(b)))) {
      try {
        const answer = await cluster.connection(node, 'metadata').call('GroupCoordinator', { groupId }, requestTimeoutMs);
        const { errorCode, coordinator: found } = answer as { errorCode: number; coordinator: { nodeId: number } };
        if (errorCode === 0) return found.nodeId;
      } catch (error) {
        if (!(error instanceof BrokerTrouble)) throw error;
        cluster.suspect(node, error);
      }
    }
    throw new BrokerTrouble(`no broker knows the coordinator of group ${groupId}`, { isSent: false, isSilent: false });
  };
  /** Asks the coordinator; where it moves or does not answer, the new one. Other error codes are the caller's. */
  const ask = async <T>(request: GroupRequest<T>, signal?: AbortSignal): Promise<T> => {
    const { name, args, codeOf, timeoutMs = requestTimeoutMs, purpose = 'group' } = request;
    let reason = 'stopped';
    for (let tries = 0; tries < TRIES && !signal?.aborted; tries++) {
      try {
        coordinator ??= await findCoordinator();
        const answer = (await cluster.connection(coordinator, purpose).call(name, args, timeoutMs)) as T;
        const code = codeOf(answer);
        if (!isRetried(code)) return answer;
        reason = errorName(code);
      } catch (error) {
        if (!(error instanceof BrokerTrouble)) throw error;
        if (signal?.aborted) break;
        if (coordinator !== undefined) cluster.suspect(coordinator, error);
        reason = error.message;
        await cluster.refresh().catch(() => {});
      }
      coordinator = undefined;
      await pause(RETRY_MS * Math.min(tries + 1, 5), undefined, signal && { signal }).catch(() => {});
    }
    throw new LogUnavailable(`group ${groupId}: ${reason}`);
  };
  const all = (): readonly PartitionRef[] =>
    topics.flatMap((topic) => (cluster.partitionsOf(topic) ?? []).map((_, partition) => ({ topic, partition })));

  const joinOnce = async (signal: AbortSignal): Promise<Generation | undefined> => {
    const args = {
      ...{ groupId, sessionTimeout: sessionTimeoutMs, rebalanceTimeout: rebalanceTimeoutMs, memberId: member, protocolType: 'consumer' },
      groupProtocols: [{ name: PROTOCOL, metadata: encodeSubscription(topics) }],
    };
    const joined = await ask<Joined>(
      { name: 'JoinGroup', args, codeOf: plainCode, timeoutMs: rebalanceTimeoutMs + requestTimeoutMs },
      signal,
    );
    if (joined.errorCode === MEMBER_ID_REQUIRED) {
      member = joined.memberId;
      return undefined;
    }
    if (LOST.has(joined.errorCode)) member = '';
    if (joined.errorCode !== 0 && !LOST.has(joined.errorCode) && joined.errorCode !== REBALANCE_IN_PROGRESS)
      throw new LogUnavailable(`group ${groupId}: ${errorName(joined.errorCode)}`);
    if (joined.errorCode !== 0) return undefined;
    member = joined.memberId;
    const { generationId, leaderId, members } = joined;
    const shares =
      leaderId === member
        ? assign(
            members.map(({ memberId }) => memberId),
            all(),
          )
        : new Map<string, readonly PartitionRef[]>();
    const groupAssignment = [...shares].map(([memberId, share]) => ({ memberId, memberAssignment: encodeAssignment(share) }));
    const syncArgs = { groupId, generationId, memberId: member, groupAssignment };
    const sync = { name: 'SyncGroup', args: syncArgs, codeOf: plainCode, timeoutMs: rebalanceTimeoutMs };
    const synced = await ask<Plain & { readonly memberAssignment: Buffer }>(sync, signal);
    if (LOST.has(synced.errorCode)) member = '';
    if (synced.errorCode !== 0) return undefined;
    return { id: generationId, member, assigned: decodeAssignment(synced.memberAssignment) };
  };
  const standingOf = (code: number): Standing => {
    if (code === 0) return 'good';
    if (code === REBALANCE_IN_PROGRESS) return 'changing';
    if (LOST.has(code)) return 'lost';
    throw new LogUnavailable(`group ${groupId}: ${errorName(code)}`);
  };
  return {
    join: async (signal) => {
      // A join waits in the broker for the other members: an abort closes the way it went.
      const abort = () => {
        if (coordinator !== undefined) cluster.disconnect(coordinator, 'group');
      };
      signal.addEventListener('abort', abort, { once: true });
      try {
        while (!signal.aborted) {
          const generation = await joinOnce(signal).catch((error: unknown) => {
            if (!signal.aborted) throw error;
            return undefined;
          });
          if (generation) return generation;
        }
        return undefined;
      } finally {
        signal.removeEventListener('abort', abort);
      }
    },
    heartbeat: async ({ id, member: memberId }) => {
      const args = { groupId, groupGenerationId: id, memberId, groupInstanceId: null };
      return standingOf(plainCode(await ask<Plain>({ name: 'Heartbeat', args, codeOf: plainCode })));
    },
    commit: async ({ id, member: memberId }, positions) => {
      const named = byTopic(positions.map((position) => ({ ...position, metadata: '' })));
      const args = { groupId, groupGenerationId: id, memberId, topics: named };
      const answer = await ask<Partitioned>({ name: 'OffsetCommit', args, codeOf: partitionedCode, purpose: 'commit' });
      return standingOf(partitionedCode(answer));
    },
    committed: async (partitions) => {
      const args = { groupId, topics: byTopic(partitions) };
      const answer = await ask<Partitioned>({ name: 'OffsetFetch', args, codeOf: partitionedCode, purpose: 'commit' });
      standingOf(partitionedCode(answer));
      return new Map(
        answer.responses.flatMap(({ topic, partitions: some }) =>
          some
            .filter(({ offset }) => Number(offset) >= 0)
            .map(({ partition, offset }) => [`${topic}/${partition}`, Number(offset)] as const),
        ),
      );
    },
    leave: async () => {
      if (member === '') return;
      const args = { groupId, memberId: member, groupInstanceId: null };
      member = '';
      await ask<Plain>({ name: 'LeaveGroup', args, codeOf: plainCode }).catch(() => {});
    },
  };
}
