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
  /** Partitions of all topics, as this member knew them. */
  readonly partitions: number;
  readonly assigned: readonly PartitionRef[];
}

/** `changing`: join again, after what runs; `lost`: the partitions may be somebody else's already. */
export type Standing = 'good' | 'changing' | 'lost';

export interface PositionOf extends PartitionRef {
  readonly offset: number;
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
  readonly tries?: number;
}

interface Synced extends Plain {
  readonly memberAssignment: Buffer;
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

/** A member of a Kafka consumer group, by the classic protocol. */
export class Membership {
  readonly #cluster: Cluster;
  readonly #ref: GroupRef;
  readonly #options: MembershipOptions;
  #coordinator: number | undefined;
  #member = '';

  constructor(cluster: Cluster, ref: GroupRef, options: MembershipOptions) {
    this.#cluster = cluster;
    this.#ref = ref;
    this.#options = options;
  }

  /** Joins and waits for the assignment. Undefined when the signal aborts. */
  async join(signal: AbortSignal): Promise<Generation | undefined> {
    // A join waits in the broker for the other members: an abort closes the way it went.
    const abort = () => {
      if (this.#coordinator !== undefined) this.#cluster.disconnect(this.#coordinator, 'group');
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      while (!signal.aborted) {
        const generation = await this.#joinOnce(signal).catch((error: unknown) => {
          if (!signal.aborted) throw error;
          return undefined;
        });
        if (generation) return generation;
      }
      return undefined;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async heartbeat({ id, member: memberId }: Generation): Promise<Standing> {
    const args = { groupId: this.#ref.group, groupGenerationId: id, memberId, groupInstanceId: null };
    return this.#standingOf(plainCode(await this.#ask<Plain>({ name: 'Heartbeat', args, codeOf: plainCode })));
  }

  async commit({ id, member: memberId }: Generation, positions: readonly PositionOf[]): Promise<Standing> {
    const topics = byTopic(positions.map((position) => ({ ...position, metadata: '' })));
    const args = { groupId: this.#ref.group, groupGenerationId: id, memberId, topics };
    const answer = await this.#ask<Partitioned>({ name: 'OffsetCommit', args, codeOf: partitionedCode, purpose: 'commit' });
    return this.#standingOf(partitionedCode(answer));
  }

  /** Offset by "topic/partition", for those that were committed. */
  async committed(partitions: readonly PartitionRef[]): Promise<ReadonlyMap<string, number>> {
    const args = { groupId: this.#ref.group, topics: byTopic(partitions) };
    const answer = await this.#ask<Partitioned>({ name: 'OffsetFetch', args, codeOf: partitionedCode, purpose: 'commit' });
    this.#standingOf(partitionedCode(answer));
    return new Map(
      answer.responses.flatMap(({ topic, partitions: some }) =>
        some.filter(({ offset }) => Number(offset) >= 0).map(({ partition, offset }) => [`${topic}/${partition}`, Number(offset)] as const),
      ),
    );
  }

  /** Partitions of all topics, as far as is known. */
  partitions(): number {
    return this.#all().length;
  }

  async leave(): Promise<void> {
    if (this.#member === '') return;
    const args = { groupId: this.#ref.group, memberId: this.#member, groupInstanceId: null };
    this.#member = '';
    // Without it the group waits for the session's end.
    await this.#ask<Plain>({ name: 'LeaveGroup', args, codeOf: plainCode, tries: 2 }).catch(() => {});
  }

  async #findCoordinator(): Promise<number> {
    const { group: groupId } = this.#ref;
    const byHealth = this.#cluster.brokers().toSorted((a, b) => Number(this.#cluster.isAvoided(a)) - Number(this.#cluster.isAvoided(b)));
    for (const node of byHealth) {
      try {
        const { requestTimeoutMs } = this.#options;
        const answer = await this.#cluster.connection(node, 'metadata').call('GroupCoordinator', { groupId }, requestTimeoutMs);
        const { errorCode, coordinator } = answer as { errorCode: number; coordinator: { nodeId: number } };
        if (errorCode === 0) return coordinator.nodeId;
      } catch (error) {
        if (!(error instanceof BrokerTrouble)) throw error;
        this.#cluster.suspect(node, error);
      }
    }
    throw new BrokerTrouble(`no broker knows the coordinator of group ${groupId}`, { isSent: false, isSilent: false });
  }

  /** Asks the coordinator; where it moves or does not answer, the new one. Codes that do not pass are the caller's. */
  async #ask<T>(request: GroupRequest<T>, signal?: AbortSignal): Promise<T> {
    const { name, args, codeOf, timeoutMs = this.#options.requestTimeoutMs, purpose = 'group', tries = TRIES } = request;
    let reason = 'stopped';
    for (let at = 0; at < tries && !signal?.aborted && !this.#cluster.isClosed(); at++) {
      try {
        this.#coordinator ??= await this.#findCoordinator();
        const answer = (await this.#cluster.connection(this.#coordinator, purpose).call(name, args, timeoutMs)) as T;
        if (!isRetried(codeOf(answer))) return answer;
        reason = errorName(codeOf(answer));
      } catch (error) {
        if (!(error instanceof BrokerTrouble)) throw error;
        if (signal?.aborted || this.#cluster.isClosed()) break;
        if (this.#coordinator !== undefined) this.#cluster.suspect(this.#coordinator, error);
        reason = error.message;
        await this.#cluster.refresh().catch(() => {});
      }
      this.#coordinator = undefined;
      await pause(RETRY_MS * Math.min(at + 1, 5), undefined, signal && { signal }).catch(() => {});
    }
    throw new LogUnavailable(`group ${this.#ref.group}: ${reason}`);
  }

  /** One round; undefined when it must be tried again. */
  async #joinOnce(signal: AbortSignal): Promise<Generation | undefined> {
    const { sessionTimeoutMs, rebalanceTimeoutMs, requestTimeoutMs } = this.#options;
    const args = {
      ...{ groupId: this.#ref.group, memberId: this.#member, protocolType: 'consumer' },
      ...{ sessionTimeout: sessionTimeoutMs, rebalanceTimeout: rebalanceTimeoutMs },
      groupProtocols: [{ name: PROTOCOL, metadata: encodeSubscription(this.#ref.topics) }],
    };
    const timeoutMs = rebalanceTimeoutMs + requestTimeoutMs;
    const joined = await this.#ask<Joined>({ name: 'JoinGroup', args, codeOf: plainCode, timeoutMs }, signal);
    if (joined.errorCode === MEMBER_ID_REQUIRED) this.#member = joined.memberId;
    else if (this.#isIn(joined.errorCode)) {
      this.#member = joined.memberId;
      return this.#sync(joined, signal);
    }
    return undefined;
  }

  /** The leader of the group deals the partitions out; all learn what they got. */
  async #sync({ generationId, leaderId, members }: Joined, signal: AbortSignal): Promise<Generation | undefined> {
    const member = this.#member;
    // Partitions that were added are dealt out too.
    if (leaderId === member) await this.#cluster.refresh();
    const names = members.map(({ memberId }) => memberId);
    const shares = leaderId === member ? [...assign(names, this.#all())] : [];
    const groupAssignment = shares.map(([memberId, share]) => ({ memberId, memberAssignment: encodeAssignment(share) }));
    const args = { groupId: this.#ref.group, generationId, memberId: member, groupAssignment };
    const { rebalanceTimeoutMs: timeoutMs } = this.#options;
    const synced = await this.#ask<Synced>({ name: 'SyncGroup', args, codeOf: plainCode, timeoutMs }, signal);
    if (!this.#isIn(synced.errorCode)) return undefined;
    return { id: generationId, member, partitions: this.partitions(), assigned: decodeAssignment(synced.memberAssignment) };
  }

  #all(): readonly PartitionRef[] {
    return this.#ref.topics.flatMap((topic) => (this.#cluster.partitionsOf(topic) ?? []).map((_, partition) => ({ topic, partition })));
  }

  /** False when the round is to be tried again. */
  #isIn(code: number): boolean {
    const standing = this.#standingOf(code);
    if (standing === 'lost') this.#member = '';
    return standing === 'good';
  }

  #standingOf(code: number): Standing {
    if (code === 0) return 'good';
    if (code === REBALANCE_IN_PROGRESS) return 'changing';
    if (LOST.has(code)) return 'lost';
    throw new LogUnavailable(`group ${this.#ref.group}: ${errorName(code)}`);
  }
}
