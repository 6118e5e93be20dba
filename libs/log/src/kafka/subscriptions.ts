import { type LogRecord, OffsetGap } from '../port.ts';
import type { Cluster, KafkaLogger } from './cluster.ts';
import { BrokerTrouble, errorName } from './connection.ts';
import { type Fetched, fetchRequest, type PartitionRef } from './messages.ts';
import { isPassing, OFFSET_OUT_OF_RANGE, type Reads } from './reads.ts';
import { decodeRecordBatches } from './record-batch.ts';

export interface SubscriptionsOptions {
  readonly logger: KafkaLogger;
  readonly requestTimeoutMs: number;
  /** How long a broker holds a request while there is nothing. */
  readonly fetchWaitMs: number;
  /** Octets of values that were read ahead, over all subscriptions. */
  readonly readAheadOctets: number;
}

/** A partition that is read on and on from an offset. Records are consecutive; what is not, is a gap. */
export interface Subscription {
  /**
   * What comes next, at least one record; waits for it. Undefined when the signal has aborted or the log is closed.
   *
   * @throws OffsetGap, DamagedLog: the subscription is over then
   */
  next(): Promise<readonly LogRecord[] | undefined>;
  close(): void;
}

export interface Subscriptions {
  subscribe(at: PartitionRef, from: number, signal: AbortSignal): Subscription;
  /** Records below were given up: whoever has not got them yet gets a gap. */
  trimmed(at: PartitionRef, below: number): void;
  close(): void;
}

const RESPONSE_MAX_OCTETS = 4 * 1024 ** 2;
const READ_AHEAD_MIN_OCTETS = 64 * 1024;
const READ_AHEAD_MAX_OCTETS = 1024 ** 2;
/** A second request serves partitions that came while the long one waits; it waits little, to take in more of them. */
const CATCH_UP_WAIT_MS = 50;
/** A broker is asked at most this often while records come in little by little. */
const FETCH_GAP_MS = 5;
const RETRY_MS = 250;

interface Reading {
  readonly at: PartitionRef;
  readonly key: string;
  /** Offset that is fetched next. */
  position: number;
  buffered: LogRecord[];
  octets: number;
  /** Part of a request that is on its way. */
  isAsked: boolean;
  isClosed: boolean;
  notBeforeMs: number;
  failure: unknown;
  wake: () => void;
}

/** One connection of a broker for fetches, and what runs on it. */
interface Line {
  readonly purpose: 'poll' | 'catchUp';
  isBusy: boolean;
  /** When the running request is answered at the latest. */
  untilMs: number;
  lastMs: number;
}

const lines = (): readonly Line[] => (['poll', 'catchUp'] as const).map((purpose) => ({ purpose, isBusy: false, untilMs: 0, lastMs: 0 }));

/** Takes what was fetched into the buffer. A record that is not the next one is a gap. */
function take(reading: Reading, records: readonly LogRecord[]): void {
  const [first] = records;
  const last = records.at(-1);
  if (first === undefined || last === undefined) return;
  if (first.offset !== reading.position) {
    reading.failure = new OffsetGap(reading.position, { low: first.offset, high: last.offset + 1 });
  } else {
    reading.buffered.push(...records);
    reading.octets += records.reduce((sum, { value }) => sum + value.length, 0);
    reading.position = last.offset + 1;
  }
  reading.wake();
}

/**
 * Reads many partitions with one long request per broker that leads any of them, and a second one for those that have become
 * hungry meanwhile. A partition is asked for only while little of it is buffered: a slow reader holds up nobody but itself.
 */
export function createSubscriptions(cluster: Cluster, reads: Reads, options: SubscriptionsOptions): Subscriptions {
  const { logger, requestTimeoutMs, fetchWaitMs } = options;
  const readings = new Set<Reading>();
  const brokers = new Map<number, readonly Line[]>();
  let turn = 0;
  let isClosed = false;
  let retry: NodeJS.Timeout | undefined;

  const linesOf = (node: number): readonly Line[] => {
    const found = brokers.get(node) ?? lines();
    brokers.set(node, found);
    return found;
  };
  const shareOctets = () =>
    Math.min(READ_AHEAD_MAX_OCTETS, Math.max(READ_AHEAD_MIN_OCTETS, Math.floor(options.readAheadOctets / 2 / Math.max(1, readings.size))));
  const isHungry = (reading: Reading, share: number, nowMs: number) =>
    !reading.isAsked && reading.failure === undefined && reading.octets < share && reading.notBeforeMs <= nowMs;

  const retryLater = () => {
    retry ??= setTimeout(() => {
      retry = undefined;
      void cluster
        .refresh()
        .catch(() => {})
        .then(fetchAll);
    }, RETRY_MS);
  };
  /** Hungry partitions by the broker that leads them. */
  const hungry = (share: number): ReadonlyMap<number, Reading[]> => {
    const nowMs = performance.now();
    const found = new Map<number, Reading[]>();
    for (const reading of readings) {
      if (reading.notBeforeMs > nowMs) retryLater();
      if (!isHungry(reading, share, nowMs)) continue;
      const node = cluster.leaderOf(reading.at.topic, reading.at.partition);
      if (node === undefined || cluster.isAvoided(node)) retryLater();
      else found.set(node, [...(found.get(node) ?? []), reading]);
    }
    return found;
  };
  const fetchAll = () => {
    if (isClosed) return;
    const share = shareOctets();
    for (const [node, waiting] of hungry(share)) {
      const [poll, catchUp] = linesOf(node);
      const nowMs = performance.now();
      if (poll && !poll.isBusy) void fetch(node, poll, waiting, fetchWaitMs);
      else if (poll && catchUp && !catchUp.isBusy)
        void fetch(node, catchUp, waiting, Math.max(0, Math.min(CATCH_UP_WAIT_MS, poll.untilMs - nowMs)));
    }
  };
  const receive = (reading: Reading, { errorCode, octets }: Fetched) => {
    if (errorCode === 0) {
      try {
        take(reading, decodeRecordBatches(octets, { from: reading.position, maxOctets: Number.POSITIVE_INFINITY }, reading.key));
      } catch (error) {
        reading.failure = error;
        reading.wake();
      }
      return;
    }
    reading.notBeforeMs = performance.now() + RETRY_MS;
    if (errorCode === OFFSET_OUT_OF_RANGE) void lookForGap(reading);
    else if (!isPassing(errorCode)) logger.error({ partition: reading.key, reason: errorName(errorCode) }, 'log.fetch.refused');
  };
  const lookForGap = async (reading: Reading) => {
    const gap = await reads.gapAt(reading.at, reading.position).catch(() => undefined);
    if (gap === undefined || gap.wanted !== reading.position) return;
    reading.failure = gap;
    reading.wake();
  };
  const ask = async (node: number, line: Line, waiting: readonly Reading[], waitMs: number) => {
    const share = shareOctets();
    const partitions = waiting.map(({ at, position }) => ({ ...at, fetchOffset: position, maxOctets: share }));
    const request = fetchRequest({ partitions, waitMs, maxOctets: RESPONSE_MAX_OCTETS });
    const { errorCode, partitions: found } = await cluster.connection(node, line.purpose).ask(request, waitMs + requestTimeoutMs);
    if (errorCode !== 0) throw new BrokerTrouble(errorName(errorCode), { isSent: true, isSilent: false });
    const asked = new Map(waiting.map((reading) => [reading.key, reading]));
    for (const one of found) {
      const reading = asked.get(`${one.topic}/${one.partition}`);
      if (reading && !reading.isClosed) receive(reading, one);
    }
  };
  const fetch = async (node: number, line: Line, waiting: readonly Reading[], waitMs: number): Promise<void> => {
    line.isBusy = true;
    const startedMs = performance.now();
    line.untilMs = startedMs + waitMs;
    for (const reading of waiting) reading.isAsked = true;
    // Whoever is first in a request is served first.
    turn = (turn + 1) % waiting.length;
    try {
      await ask(node, line, [...waiting.slice(turn), ...waiting.slice(0, turn)], waitMs);
    } catch (error) {
      if (!(error instanceof BrokerTrouble)) throw error;
      if (!isClosed) {
        cluster.suspect(node, error);
        retryLater();
      }
    }
    for (const reading of waiting) reading.isAsked = false;
    const gapMs = startedMs + FETCH_GAP_MS - performance.now();
    const again = () => {
      line.isBusy = false;
      fetchAll();
    };
    if (gapMs > 0 && !isClosed) setTimeout(again, gapMs);
    else again();
  };
  cluster.refreshed.add(fetchAll);

  const subscribe = (at: PartitionRef, from: number, signal: AbortSignal): Subscription => {
    const key = `${at.topic}/${at.partition}`;
    const reading: Reading = {
      ...{ at, key, position: from, buffered: [], octets: 0, isAsked: false, isClosed: false, notBeforeMs: 0, failure: undefined },
      wake: () => {},
    };
    const wake = () => reading.wake();
    const close = () => {
      reading.isClosed = true;
      readings.delete(reading);
      signal.removeEventListener('abort', wake);
    };
    readings.add(reading);
    signal.addEventListener('abort', wake, { once: true });
    fetchAll();
    return {
      close,
      next: async () => {
        for (;;) {
          if (signal.aborted || isClosed || reading.isClosed) return undefined;
          if (reading.failure === undefined && reading.buffered.length > 0) break;
          if (reading.failure !== undefined) throw reading.failure;
          await new Promise<void>((resolve) => {
            reading.wake = resolve;
          });
        }
        const records = reading.buffered;
        const wasFull = reading.octets >= shareOctets();
        reading.buffered = [];
        reading.octets = 0;
        if (wasFull && !reading.isAsked) fetchAll();
        return records;
      },
    };
  };
  return {
    subscribe,
    trimmed: (at, below) => {
      for (const reading of readings) {
        if (reading.at.topic !== at.topic || reading.at.partition !== at.partition) continue;
        const wanted = reading.buffered[0]?.offset ?? reading.position;
        if (wanted < below) reading.failure ??= new OffsetGap(wanted, { low: below, high: Math.max(below, reading.position) });
        reading.wake();
      }
    },
    close: () => {
      isClosed = true;
      clearTimeout(retry);
      cluster.refreshed.delete(fetchAll);
      for (const { wake } of readings) wake();
    },
  };
}
