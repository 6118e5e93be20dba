import type { Cluster, KafkaLogger } from './cluster.ts';
import { BrokerTrouble, errorName } from './connection.ts';
import { type Fetched, fetchRequest, type PartitionRef, partitionKey } from './messages.ts';
import { Reading, type Subscription } from './reading.ts';
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

const RESPONSE_MAX_OCTETS = 4 * 1024 ** 2;
const SHARE_MIN_OCTETS = 64 * 1024;
const SHARE_MAX_OCTETS = 1024 ** 2;
/** The second request of a broker serves partitions that came while the long one waits; it waits little, to take in more. */
const CATCH_UP_WAIT_MS = 25;
/** A broker is asked at most this often while records come in little by little. */
const FETCH_GAP_MS = 10;
const RETRY_MS = 100;

/** One connection to a broker for fetches, and when the request that runs on it is answered at the latest. */
interface Line {
  readonly purpose: 'poll' | 'catchUp';
  isBusy: boolean;
  untilMs: number;
}
interface Lines {
  readonly poll: Line;
  readonly catchUp: Line;
}

/**
 * Reads many partitions with one long request per broker that leads any of them, and a second one for those that have become
 * hungry meanwhile. A partition is asked for only while little of it is buffered: a slow reader holds up nobody but itself,
 * and what is buffered is bounded.
 */
export class Subscriptions {
  readonly #cluster: Cluster;
  readonly #reads: Reads;
  readonly #options: SubscriptionsOptions;
  readonly #readings = new Set<Reading>();
  readonly #lines = new Map<number, Lines>();
  readonly #fetchAll = () => this.#feed();
  #turn = 0;
  #isClosed = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(cluster: Cluster, reads: Reads, options: SubscriptionsOptions) {
    this.#cluster = cluster;
    this.#reads = reads;
    this.#options = options;
    cluster.refreshed.add(this.#fetchAll);
  }

  subscribe(at: PartitionRef, from: number, signal: AbortSignal): Subscription {
    const reading = new Reading(at, from, {
      signal,
      // One that was not full is asked for already, or will be with the next request.
      onEmptied: ({ isAsked }, octets) => {
        if (!isAsked && octets >= this.#share()) this.#feed();
      },
      onClosed: (closed) => this.#readings.delete(closed),
    });
    if (this.#isClosed) reading.close();
    else this.#readings.add(reading);
    this.#feed();
    return reading;
  }

  /** Records below were given up by this process. */
  trimmed({ topic, partition }: PartitionRef, below: number): void {
    for (const reading of this.#readings) if (reading.at.topic === topic && reading.at.partition === partition) reading.trimmed(below);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#cluster.refreshed.delete(this.#fetchAll);
    for (const reading of this.#readings) reading.close();
  }

  /** Octets that one subscription may have buffered before it is asked for no more. */
  #share(): number {
    const even = Math.floor(this.#options.readAheadOctets / 2 / Math.max(1, this.#readings.size));
    return Math.min(SHARE_MAX_OCTETS, Math.max(SHARE_MIN_OCTETS, even));
  }

  #linesOf(node: number): Lines {
    const line = (purpose: Line['purpose']): Line => ({ purpose, isBusy: false, untilMs: 0 });
    const found = this.#lines.get(node) ?? { poll: line('poll'), catchUp: line('catchUp') };
    this.#lines.set(node, found);
    return found;
  }

  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      // Success or not, what is hungry is looked at again.
      void this.#cluster
        .refresh()
        .catch(() => {})
        .then(this.#fetchAll);
    }, RETRY_MS);
  }

  /** Partitions to ask for, by the broker that leads them. */
  #hungry(): ReadonlyMap<number, Reading[]> {
    const [share, nowMs] = [this.#share(), performance.now()];
    const found = new Map<number, Reading[]>();
    for (const reading of this.#readings) {
      if (reading.isAsked || reading.isOver || reading.octets >= share) continue;
      const node = this.#cluster.leaderOf(reading.at.topic, reading.at.partition);
      if (node === undefined || reading.notBeforeMs > nowMs || this.#cluster.isAvoided(node)) {
        this.#retryLater();
        continue;
      }
      const some = found.get(node);
      if (some) some.push(reading);
      else found.set(node, [reading]);
    }
    return found;
  }

  #feed(): void {
    if (this.#isClosed) return;
    for (const [node, readings] of this.#hungry()) {
      const { poll, catchUp } = this.#linesOf(node);
      const leftMs = Math.max(0, poll.untilMs - performance.now());
      // The long request starts when the short one has ended, so that it takes in all: else they share the partitions for good.
      if (catchUp.isBusy) continue;
      if (poll.isBusy) void this.#fetch(node, catchUp, readings, Math.min(CATCH_UP_WAIT_MS, Math.floor(leftMs)));
      else void this.#fetch(node, poll, readings);
    }
  }

  async #fetch(node: number, line: Line, readings: readonly Reading[], waitMs = this.#options.fetchWaitMs): Promise<void> {
    const startedMs = performance.now();
    line.isBusy = true;
    line.untilMs = startedMs + waitMs;
    for (const reading of readings) reading.isAsked = true;
    // Whoever is first in a request is served first.
    this.#turn = (this.#turn + 1) % readings.length;
    try {
      await this.#ask(node, line, [...readings.slice(this.#turn), ...readings.slice(0, this.#turn)], waitMs);
    } catch (error) {
      if (!(error instanceof BrokerTrouble)) throw error;
      if (!this.#isClosed) this.#cluster.suspect(node, error);
    }
    for (const reading of readings) reading.isAsked = false;
    const gapMs = startedMs + FETCH_GAP_MS - performance.now();
    const again = () => {
      line.isBusy = false;
      this.#feed();
    };
    if (gapMs > 0 && !this.#isClosed) setTimeout(again, gapMs);
    else again();
  }

  async #ask(node: number, { purpose }: Line, readings: readonly Reading[], waitMs: number): Promise<void> {
    const share = this.#share();
    const partitions = readings.map(({ at, position }) => ({ ...at, fetchOffset: position, maxOctets: share }));
    const request = fetchRequest({ partitions, waitMs, maxOctets: RESPONSE_MAX_OCTETS });
    const answer = await this.#cluster.connection(node, purpose).ask(request, waitMs + this.#options.requestTimeoutMs);
    if (answer.errorCode !== 0) throw new BrokerTrouble(errorName(answer.errorCode), { isSent: true, isSilent: false });
    const asked = new Map(readings.map((reading) => [reading.key, reading]));
    for (const one of answer.partitions) {
      const reading = asked.get(partitionKey(one));
      if (reading && !reading.isOver) this.#receive(reading, one);
    }
  }

  #receive(reading: Reading, { errorCode, octets }: Fetched): void {
    if (errorCode === 0) {
      try {
        const { position: from, appendedAtMs: sinceMs, key } = reading;
        reading.take(decodeRecordBatches(octets, { from, maxOctets: Number.POSITIVE_INFINITY, sinceMs }, key));
      } catch (error) {
        reading.fail(error);
      }
      return;
    }
    reading.notBeforeMs = performance.now() + RETRY_MS;
    if (errorCode === OFFSET_OUT_OF_RANGE) void this.#lookForGap(reading);
    else if (!isPassing(errorCode))
      this.#options.logger.error({ partition: reading.key, reason: errorName(errorCode) }, 'log.fetch.refused');
  }

  async #lookForGap(reading: Reading): Promise<void> {
    const { position } = reading;
    // What cannot be told now is asked again with the next fetch.
    const gap = await this.#reads.gapAt(reading.at, position).catch(() => undefined);
    if (gap && reading.position === position) reading.fail(gap);
  }
}
