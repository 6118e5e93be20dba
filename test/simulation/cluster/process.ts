import type { BlobStore } from '@angarium/blob';
import { createDelivery, type Delivery, type Transport } from '@angarium/delivery';
import { AppendFailed, type Log, type MemoryLog, OffsetGap } from '@angarium/log';
import type { Queue } from '@angarium/rpc';
import { type Config, type Logger, type Metrics, noTracing } from '@angarium/runtime';
import type { Chance } from '../chance.ts';
import { createHosts, createStore, type HostManners, type Ledger } from '../hosts.ts';
import type { VirtualTime } from '../virtual-time.ts';
import type { Witness } from '../witness.ts';
import { createPausable, type Pausable } from './pausable.ts';
import type { Truth } from './truth.ts';

/** What all workers share. */
export interface Surroundings {
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly config: Config;
  readonly log: MemoryLog;
  readonly blobs: BlobStore;
  readonly truth: Truth;
  readonly witness: Witness;
  readonly ledger: Ledger;
  readonly hosts: readonly HostManners[];
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly laneOf: (address: string) => number;
  /** How much longer than to other commands a host takes to answer to the final dot. */
  readonly replyMs: (domain: string) => number;
  readonly isCalm: () => boolean;
  /** A worker's own queue, by its address. */
  readonly connectQueue: (address: string) => Promise<Queue & { close(): void }>;
  /** Bends what a worker sees of the log, to see that it is noticed. */
  readonly plant?: (log: Log, worker: string) => Log;
}

/** A delivery worker as its machine sees it. */
export interface WorkerProcess {
  readonly name: string;
  readonly incarnation: string;
  readonly delivery: Delivery;
  readonly life: Pausable;
  state: 'running' | 'leaving' | 'gone';
  /** Reads, or writes, that begin before then come only after it. */
  cut(what: 'reads' | 'writes', ms: number): void;
  start(): void;
  /** SIGTERM. */
  stop(): void;
  /** SIGKILL. */
  kill(): void;
}

interface Cuts {
  readsUntilMs: number;
  writesUntilMs: number;
}

const never = <T>(): Promise<T> => new Promise(() => {});

/** The log as one process reaches it. */
function createView(o: Surroundings, incarnation: string, its: { life: Pausable; cuts: Cuts; ended: AbortSignal }): Log {
  const { log, time, truth, chance } = o;
  const { life, cuts, ended } = its;
  const passed = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } finally {
      await life.gate();
    }
  };
  const until = (ms: number) => (ms > time.nowMs() ? time.world.wait(ms - time.nowMs()) : Promise.resolve());
  const readable = async () => {
    await until(cuts.readsUntilMs);
    await life.gate();
  };
  return {
    ...log,
    async append(topic, partition, values) {
      if (life.isKilled) return never();
      if (cuts.writesUntilMs > time.nowMs()) {
        await passed(until(cuts.writesUntilMs));
        if (chance.hits(0.5)) throw new AppendFailed('failed', { inDoubt: false });
      }
      return life.isKilled ? never() : passed(log.append(topic, partition, values));
    },
    async marks(topic, partition) {
      await readable();
      return log.marks(topic, partition);
    },
    async read(topic, partition, from, maxOctets) {
      await readable();
      return log.read(topic, partition, from, maxOctets);
    },
    async trim(topic, partition, below) {
      if (life.isKilled) return never();
      truth.look();
      if (topic === 'mail.lane') truth.trimmed(incarnation, partition);
      await passed(log.trim(topic, partition, below));
    },
    async *follow(topic, partition, from, signal) {
      const both = AbortSignal.any([signal, ended]);
      const { low, high } = await log.marks(topic, partition);
      if (from < low) throw new OffsetGap(from, { low, high });
      for await (const records of log.follow(topic, partition, from, both)) {
        await readable();
        if (both.aborted) return;
        yield records;
      }
    },
  };
}

/** Hosts that tell the truth about every dot. */
function createWatched(o: Surroundings, incarnation: string, life: Pausable): Transport {
  const { truth, laneOf } = o;
  const hosts = createHosts({ hosts: o.hosts, chance: o.chance.fork(), clock: life.clock, witness: o.witness, isCalm: o.isCalm });
  return {
    ...hosts,
    attempt: async (job) => {
      const addresses = job.recipients.map(({ address }) => address);
      const onDot = () => {
        truth.dot({ incarnation, lane: laneOf(addresses[0] ?? ''), queueId: job.queueId, addresses });
        job.onDot();
      };
      const result = await hosts.attempt({ ...job, onDot });
      await life.clock.wait(o.replyMs(job.plan.site));
      return result;
    },
  };
}

export function createWorkerProcess(o: Surroundings, name: string, incarnation: string): WorkerProcess {
  const { time, chance, config, logger, metrics, blobs, truth } = o;
  const life = createPausable(time, chance.between(-2000, 2000));
  const cuts: Cuts = { readsUntilMs: 0, writesUntilMs: 0 };
  const ended = new AbortController();
  const view = createView(o, incarnation, { life, cuts, ended: ended.signal });
  const delivery = createDelivery({
    ...{ config, clock: life.clock, random: chance.fork().next, logger, metrics, tracing: noTracing, blobs, ownerName: name },
    log: o.plant?.(view, name) ?? view,
    transports: [createWatched(o, incarnation, life)],
    mailbox: createStore(o.ledger, { chance: chance.fork(), clock: life.clock, witness: o.witness, isCalm: o.isCalm }),
    cluster: { incarnation, address: `${name}.test:1`, monotonicMs: () => time.nowMs(), connectQuota: never, connectQueue: o.connectQueue },
  });
  const end = () => {
    process.state = 'gone';
    life.kill();
    ended.abort();
  };
  const process: WorkerProcess = {
    ...{ name, incarnation, delivery, life, state: 'running' },
    cut(what, ms) {
      if (what === 'reads') cuts.readsUntilMs = time.nowMs() + ms;
      else cuts.writesUntilMs = time.nowMs() + ms;
    },
    start: () => void delivery.start().catch(() => process.kill()),
    stop() {
      if (process.state !== 'running') return;
      process.state = 'leaving';
      delivery.stop().then(end, end);
    },
    kill() {
      if (process.state === 'gone') return;
      truth.look();
      truth.excuse(incarnation);
      end();
    },
  };
  return process;
}
