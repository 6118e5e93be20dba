import { setTimeout as pause } from 'node:timers/promises';
import { type GroupBatch, type GroupOptions, type LogRecord, OffsetGap, type TopicName } from '../port.ts';
import type { Cluster, KafkaLogger } from './cluster.ts';
import { type Generation, Membership, type MembershipOptions, type Standing } from './membership.ts';
import type { PartitionRef } from './messages.ts';
import type { Subscription } from './reading.ts';
import type { Reads } from './reads.ts';
import type { Subscriptions } from './subscriptions.ts';

export interface GroupsOptions extends MembershipOptions {
  readonly logger: KafkaLogger;
  readonly heartbeatMs: number;
  /** How often topics are looked at for new partitions. */
  readonly metadataMs: number;
  /** Positions are committed at most this often. */
  readonly commitGapMs: number;
}

export interface GroupDeps {
  readonly cluster: Cluster;
  readonly reads: Reads;
  readonly subscriptions: Subscriptions;
  readonly closed: AbortSignal;
  readonly options: GroupsOptions;
}

const keyOf = ({ topic, partition }: PartitionRef): string => `${topic}/${partition}`;
const endOf = (records: readonly LogRecord[]): number => (records.at(-1)?.offset ?? -1) + 1;

/** The positions of one generation on their way to the coordinator, one call at a time. */
interface Commits {
  /** Acknowledged position. */
  of(at: PartitionRef): number;
  note(at: PartitionRef, offset: number): void;
  /** Resolves when everything noted is acknowledged, or the generation is lost. */
  flush(): Promise<void>;
  /** Nothing is committed from here on. */
  stop(): void;
}

interface CommitsDeps {
  readonly commit: (positions: readonly (PartitionRef & { readonly offset: number })[]) => Promise<Standing>;
  readonly start: ReadonlyMap<string, number>;
  readonly gapMs: number;
  readonly onLost: () => void;
  readonly onTrouble: (error: unknown) => void;
}

function createCommits({ commit, start, gapMs, onLost, onTrouble }: CommitsDeps): Commits {
  const acknowledged = new Map(start);
  const noted = new Map<string, PartitionRef & { readonly offset: number }>();
  let isStopped = false;
  let running: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const write = async () => {
    const positions = [...noted.values()];
    noted.clear();
    try {
      const standing = await commit(positions);
      if (standing === 'good') for (const position of positions) acknowledged.set(keyOf(position), position.offset);
      else lose();
    } catch (error) {
      for (const position of positions) if (!noted.has(keyOf(position))) noted.set(keyOf(position), position);
      throw error;
    }
  };
  const lose = () => {
    isStopped = true;
    noted.clear();
    onLost();
  };
  const run = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    running ??= write().finally(() => {
      running = undefined;
    });
    return running;
  };
  const later = () => {
    timer ??= setTimeout(() => {
      void run()
        .catch(onTrouble)
        .then(() => {
          if (noted.size > 0) later();
        });
    }, gapMs);
  };
  return {
    of: (at) => acknowledged.get(keyOf(at)) ?? 0,
    note: (at, offset) => {
      const known = noted.get(keyOf(at))?.offset ?? acknowledged.get(keyOf(at));
      if (isStopped || offset === known) return;
      noted.set(keyOf(at), { ...at, offset });
      later();
    },
    flush: async () => {
      await running?.catch(() => {});
      while (noted.size > 0) await run();
      clearTimeout(timer);
    },
    stop: () => {
      isStopped = true;
      noted.clear();
      clearTimeout(timer);
    },
  };
}

/** Records of one batch: as many as fit, at least one. */
function cut(records: readonly LogRecord[], maxOctets: number): readonly LogRecord[] {
  let octets = 0;
  const end = records.findIndex(({ value }, at) => {
    octets += value.length;
    return at > 0 && octets > maxOctets;
  });
  return end < 0 ? records : records.slice(0, end);
}

interface Run {
  readonly at: PartitionRef;
  readonly topic: TopicName;
  readonly group: GroupOptions;
  readonly commits: Commits;
  readonly subscription: Subscription;
  readonly signal: AbortSignal;
}

/** Hands the batches of one partition over, one at a time; what a batch left undone comes again, with what has come since. */
async function runPartition({ at, topic, group, commits, subscription, signal }: Run): Promise<void> {
  let left: readonly LogRecord[] = [];
  for (;;) {
    if (left.length === 0) left = (await subscription.next()) ?? [];
    const records = cut(left, group.maxBatchOctets);
    const [first] = records;
    if (first === undefined || signal.aborted) return;
    const batch: GroupBatch = { topic, partition: at.partition, records, committed: commits.of(at) };
    const next = await group.onBatch(batch);
    if (next < first.offset || next > endOf(records)) throw new RangeError(`a batch of ${keyOf(at)} asks to commit ${next}`);
    commits.note(at, next);
    left = left.slice(next - first.offset);
  }
}

interface Round {
  readonly deps: GroupDeps;
  readonly group: GroupOptions;
  readonly membership: Membership;
  readonly generation: Generation;
  /** The consumption is over. */
  readonly signal: AbortSignal;
  /** Partitions that were halted by a gap: they stay so. */
  readonly halted: Set<string>;
}

interface Start {
  readonly positions: ReadonlyMap<string, number>;
  /** Committed positions that are not in the log. */
  readonly gaps: ReadonlyMap<string, OffsetGap>;
}

/** Where each partition goes on: looked at before anything is handed over, so that a gap is told first. */
async function startOf({ deps, membership, generation }: Round): Promise<Start> {
  const positions = new Map<string, number>();
  const gaps = new Map<string, OffsetGap>();
  if (generation.assigned.length === 0) return { positions, gaps };
  const committed = await membership.committed(generation.assigned);
  const look = async (at: PartitionRef) => {
    const { low, high } = await deps.reads.marks(at);
    const position = committed.get(keyOf(at)) ?? low;
    positions.set(keyOf(at), position);
    if (position >= low && position <= high) return;
    const gap = await deps.reads.gapAt(at, position);
    if (gap) gaps.set(keyOf(at), gap);
  };
  await Promise.all(generation.assigned.map(look));
  return { positions, gaps };
}

/** Keeps the membership alive until the batches have ended; tells when the group changes, or has not been heard of too long. */
async function beat(round: Round, o: { readonly isOver: AbortSignal; readonly onStanding: (standing: Standing) => void }): Promise<void> {
  const { cluster, options } = round.deps;
  let heardMs = performance.now();
  let lookedMs = heardMs;
  while (!cluster.isClosed()) {
    await pause(options.heartbeatMs, undefined, { signal: o.isOver }).catch(() => {});
    if (o.isOver.aborted) return;
    try {
      const standing = await round.membership.heartbeat(round.generation);
      heardMs = performance.now();
      if (standing !== 'good') o.onStanding(standing);
      if (standing === 'lost') return;
      if (heardMs - lookedMs < options.metadataMs) continue;
      lookedMs = heardMs;
      await cluster.refresh();
      if (round.membership.partitions() !== round.generation.partitions) o.onStanding('changing');
    } catch (error) {
      options.logger.warn({ group: round.group.group, reason: String(error) }, 'log.group.heartbeat_failed');
      if (performance.now() - heardMs < options.sessionTimeoutMs) continue;
      o.onStanding('lost');
      return;
    }
  }
}

/** Until the group changes or the consumption is over: running batches end, then their positions are committed. */
async function runGeneration(round: Round): Promise<void> {
  const { deps, group, membership, generation, signal, halted } = round;
  const { cluster, subscriptions, options } = deps;
  const revoked = new AbortController();
  const over = new AbortController();
  const stop = AbortSignal.any([signal, revoked.signal]);
  const { positions, gaps } = await startOf(round);
  const onTrouble = (error: unknown) => options.logger.warn({ group: group.group, reason: String(error) }, 'log.group.commit_failed');
  const commit = (positions: readonly (PartitionRef & { readonly offset: number })[]) => membership.commit(generation, positions);
  const commits = createCommits({ commit, start: positions, gapMs: options.commitGapMs, onLost: () => revoked.abort(), onTrouble });
  const onStanding = (standing: Standing) => {
    if (standing === 'lost') commits.stop();
    revoked.abort();
  };
  const beating = beat(round, { isOver: over.signal, onStanding });
  const topicOf = (name: string) => group.topics.find((topic) => cluster.nameOf(topic) === name);
  const runs = generation.assigned.map(async (at) => {
    const topic = topicOf(at.topic);
    if (topic === undefined || halted.has(keyOf(at))) return;
    const subscription = subscriptions.subscribe(at, positions.get(keyOf(at)) ?? 0, stop);
    try {
      const gap = gaps.get(keyOf(at));
      if (gap) throw gap;
      await runPartition({ at, topic, group, commits, subscription, signal: stop });
    } catch (error) {
      if (!(error instanceof OffsetGap) || !group.onGap) {
        revoked.abort();
        throw error;
      }
      halted.add(keyOf(at));
      group.onGap(topic, at.partition, error);
    } finally {
      subscription.close();
    }
  });
  try {
    const ended = await Promise.allSettled([...runs, untilAborted(stop)]);
    await commits.flush();
    const failure = ended.find((end) => end.status === 'rejected');
    if (failure) throw failure.reason;
  } finally {
    commits.stop();
    over.abort();
    await beating;
  }
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

/**
 * Reads topics as a member of a group. A partition that goes to another member is given up when its running batch has ended
 * and its position is committed; a member that the group has given up for dead commits nothing more.
 */
export async function consumeAsGroup(deps: GroupDeps, group: GroupOptions): Promise<void> {
  const { cluster, closed, options } = deps;
  const signal = AbortSignal.any([group.signal, closed]);
  const ref = { group: cluster.nameOf(group.group as TopicName), topics: group.topics.map(cluster.nameOf) };
  const membership = new Membership(cluster, ref, options);
  const halted = new Set<string>();
  try {
    for (;;) {
      const generation = await membership.join(signal);
      if (generation === undefined) return;
      const { id, assigned } = generation;
      options.logger.info({ group: ref.group, generation: id, partitions: assigned.length }, 'log.group.joined');
      await runGeneration({ deps, group, membership, generation, signal, halted });
      if (signal.aborted) return;
    }
  } finally {
    await membership.leave();
  }
}

/** Committed offset of a group; the low mark when it never committed. */
export async function committedOf(
  deps: Pick<GroupDeps, 'cluster' | 'reads' | 'options'>,
  group: string,
  at: PartitionRef,
): Promise<number> {
  const ref = { group: deps.cluster.nameOf(group as TopicName), topics: [at.topic] };
  const committed = await new Membership(deps.cluster, ref, deps.options).committed([at]);
  return committed.get(keyOf(at)) ?? (await deps.reads.marks(at)).low;
}
