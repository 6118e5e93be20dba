import { type AppendQueue, BATCH_MAX_OCTETS } from './append-queue.ts';
import type { Cluster } from './cluster.ts';
import type { Slots } from './slots.ts';

export interface ChoiceDeps {
  readonly cluster: Pick<Cluster, 'leaderOf' | 'isAvoided' | 'partitionsOf'>;
  readonly slots: Slots;
  readonly queueOf: (topic: string, partition: number) => AppendQueue;
  readonly nowMs: () => number;
  /** At least 0, below 1. */
  readonly chance: () => number;
}

/** Records that wait for one call before another broker is asked as well. */
const TOGETHER_RECORDS = 64;
/** How long one partition takes what may go to any. */
const TURN_MS = 250;

/**
 * Which partition a record goes to that may go to any. Records that come while a call is on its way wait together for the next
 * one, since a call costs the brokers about as much for one record as for dozens; who would be one too many goes to a broker
 * that is idle. From time to time another partition gets its turn, so that all get their share.
 */
export function createChoice({ cluster, slots, queueOf, nowMs: clock, chance }: ChoiceDeps): (topic: string) => number {
  const filling = new Map<string, { readonly queue: AppendQueue; readonly untilMs: number }>();
  let turn = Math.floor(chance() * 1024);
  const isHealthy = ({ topic, partition }: AppendQueue, nowMs: number): boolean => {
    const node = cluster.leaderOf(topic, partition);
    return node !== undefined && !cluster.isAvoided(node) && !slots.isSlow(node, nowMs);
  };
  const fits = ({ records, octets }: AppendQueue): boolean => records < TOGETHER_RECORDS && octets < BATCH_MAX_OCTETS;
  const isReady = (queue: AppendQueue): boolean => {
    const node = cluster.leaderOf(queue.topic, queue.partition);
    return node !== undefined && queue.isIdle && slots.isFree(node);
  };
  return (topic: string): number => {
    const nowMs = clock();
    const last = filling.get(topic);
    if (last && nowMs < last.untilMs && !last.queue.isIdle && fits(last.queue) && isHealthy(last.queue, nowMs)) return last.queue.partition;
    const count = cluster.partitionsOf(topic)?.length ?? 1;
    const all = Array.from({ length: count }, (_, at) => queueOf(topic, (at + turn) % count));
    turn = (turn + 1) % count;
    const healthy = all.filter((queue) => isHealthy(queue, nowMs));
    const fewest = (healthy.length > 0 ? healthy : all).reduce((best, queue) => (queue.octets < best.octets ? queue : best));
    const queue = healthy.find(isReady) ?? fewest;
    filling.set(topic, { queue, untilMs: nowMs + TURN_MS });
    return queue.partition;
  };
}
