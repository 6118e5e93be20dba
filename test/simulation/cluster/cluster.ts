import { createMemoryBlobs } from '@angarium/blob';
import { createLaneTable, laneOf } from '@angarium/lanes';
import { AppendFailed, createMemoryStorage, type Log, type MemoryLog, openMemoryLog, type TopicName } from '@angarium/log';
import { type Accepted, BodyType, encodeRecord, Ret } from '@angarium/records';
import { createRouting, type RoutingDeps } from '@angarium/routing';
import { type Directory, Placement, Unavailable } from '@angarium/rpc';
import { configSchema, type Logger, type Metrics, noTracing } from '@angarium/runtime';
import type { Chance } from '../chance.ts';
import type { HostManners, Ledger } from '../hosts.ts';
import { createVirtualTime, type VirtualTime } from '../virtual-time.ts';
import type { Witness } from '../witness.ts';
import { createWorkerProcess, type Surroundings, type WorkerProcess } from './process.ts';
import { createTruth, type Truth } from './truth.ts';

const START_MS = 1_700_000_000_000;
export const LANES = 6;
export const DOMAINS = Array.from({ length: 12 }, (_, number) => `d${number}.test`);
const TABLE = createLaneTable({ version: 1, lanes: LANES });

const configOf = (delivery: Record<string, unknown>) =>
  configSchema.parse({
    hostname: 'angarium.test',
    delivery: {
      retryMs: [1000, 5000, 10_000],
      deadSiteProbeMs: [1000, 5000],
      housekeepingMs: 5000,
      historyMs: 20_000,
      moveAfterRecords: 12,
      ...delivery,
    },
  });

const none = () => {};
const METRICS: Metrics = {
  counter: () => ({ inc: none }),
  gauge: () => ({ set: none }),
  gaugeOf: none,
  histogram: () => ({ observe: none }),
  scrape: async () => ({ contentType: '', text: '' }),
};

const ALARMS = [
  'delivery.accounting.differed',
  'delivery.lane.halted',
  'delivery.lease.halted',
  'delivery.lane.refused',
  'routing.record.dead',
];

/** Delivery workers over one log. */
export interface Cluster {
  readonly time: VirtualTime;
  readonly truth: Truth;
  readonly log: MemoryLog;
  readonly workers: WorkerProcess[];
  readonly alarms: readonly string[];
  readonly letters: ReadonlyMap<string, readonly string[]>;
  /** A process of this name is started; another one of the same name may still be there. */
  join(name: string): WorkerProcess;
  submit(recipients: readonly string[]): Promise<void>;
  /** A letter that routing passes without writing it to any lane. */
  lose(recipient: string): Promise<void>;
  /** The topic of the leases is deleted and made anew. */
  loseLeases(): void;
  /** Nothing gets durable for so long. */
  stall(ms: number): void;
  /** From now on nothing fails any more. */
  calm(): void;
  running(): readonly WorkerProcess[];
  start(): Promise<void>;
  end(): Promise<void>;
}

export interface ClusterOptions {
  /** Share of appends that are slow, lost, in doubt or copied; left out: nothing fails, also name servers and mailboxes. */
  readonly trouble?: number;
  readonly hosts?: (domain: string) => Partial<HostManners>;
  readonly replyMs?: Surroundings['replyMs'];
  readonly plant?: Surroundings['plant'];
  readonly delivery?: Record<string, unknown>;
}

function createDirectory(): NonNullable<RoutingDeps['directory']> {
  const expand: Directory['expand'] = async ({ forwardPaths }) => ({
    expansions: forwardPaths.map((path) => ({
      targets: [{ address: path, placement: Placement.MX, name: path.slice(path.indexOf('@') + 1) }],
    })),
  });
  return { directory: { expand }, admin: {}, close: async () => {} } as unknown as NonNullable<RoutingDeps['directory']>;
}

function createAlarms(alarms: string[]): Logger {
  const ring = (fields: object, event: string) => {
    if (ALARMS.includes(event)) alarms.push(`${event} ${JSON.stringify(fields)}`);
  };
  const logger: Logger = { debug: none, info: none, warn: ring, error: ring, child: () => logger };
  return logger;
}

function acceptedOf(queueId: string, recipients: readonly string[], nowMs: number): Accepted {
  const value = Buffer.from(`Subject: ${queueId}\r\n\r\nx\r\n`);
  const envelope = {
    ...{ queueId, reversePath: '', envid: '', ret: Ret.HDRS, bodyType: BodyType.SEVEN_BIT, smtputf8: false, headerUtf8: false },
    ...{ tenant: 'mx', priority: 0, acceptedAtMs: nowMs, parentQueueId: '', traceparent: '', messageId: `<${queueId}>` },
  };
  return {
    envelope,
    recipients: recipients.map((forwardPath) => ({ forwardPath, notify: 0, orcpt: '' })),
    content: { octets: value.length, laneBlob: false, place: { $case: 'inline', value } },
    laneTableVersion: TABLE.version,
  };
}

/** Everything durable in a lane passes the truth, whoever wrote it. */
function observed(log: MemoryLog, truth: Truth): MemoryLog {
  const append: Log['append'] = async (topic, partition, values) => {
    try {
      const offset = await log.append(topic, partition, values);
      if (topic === 'mail.lane') truth.record(values);
      return offset;
    } catch (error) {
      if (topic === 'mail.lane' && error instanceof AppendFailed && error.inDoubt) truth.record(values);
      throw error;
    }
  };
  return { ...log, append };
}

function openLog(o: { time: VirtualTime; chance: Chance; trouble: number; isCalm: () => boolean; stalledUntilMs: () => number }) {
  const { time, chance, trouble } = o;
  const storage = createMemoryStorage();
  const wait = (ms: number) => time.world.wait(ms);
  const fate = (topic: TopicName) => {
    const stallMs = o.stalledUntilMs() - time.nowMs();
    if (stallMs > 0) return wait(stallMs).then(() => 'kept' as const);
    if (o.isCalm() || topic === 'mail.in' || topic === 'mail.control') return 'kept';
    const drawn = chance.hits(trouble) ? 'lost' : chance.hits(trouble) ? 'inDoubt' : chance.hits(trouble) ? 'twice' : 'kept';
    if (drawn === 'twice') time.world.after(chance.between(1, 20_000), () => log.landCopies());
    return chance.hits(trouble * 2) ? wait(chance.between(1, 2500)).then(() => drawn) : drawn;
  };
  const partitions = { 'mail.in': 2, 'mail.in.bulk': 1, 'mail.lane': LANES, 'mail.control': 1, 'mail.dead': 1, 'mail.lease': 1 };
  const log: MemoryLog = openMemoryLog({ partitions, nowMs: time.nowMs, storage, fate });
  return { log, storage };
}

export function createCluster(chance: Chance, options: ClusterOptions = {}): Cluster {
  const time = createVirtualTime(START_MS);
  const config = configOf(options.delivery ?? {});
  let isQuiet = options.trouble === undefined;
  let stalledUntilMs = 0;
  const isCalm = () => isQuiet;
  const opened = openLog({ time, chance: chance.fork(), trouble: options.trouble ?? 0, isCalm, stalledUntilMs: () => stalledUntilMs });
  const truth = createTruth(opened.storage, time.nowMs);
  const log = observed(opened.log, truth);
  const blobs = createMemoryBlobs({ nowMs: time.nowMs });
  const alarms: string[] = [];
  const logger = createAlarms(alarms);
  const letters = new Map<string, readonly string[]>();
  const witness = { take: truth.take, doubt: truth.doubt } as unknown as Witness;
  const hosts = DOMAINS.map((domain) => ({
    ...{ domain, deferring: 0, losingBeforeDot: 0, losingAfterDot: 0, latencyMs: 100, deadFromMs: 0, deadToMs: 0 },
    ...options.hosts?.(domain),
  }));
  const workers: WorkerProcess[] = [];
  const around: Surroundings = {
    ...{ time, chance, config, log, blobs, truth, witness, hosts, logger, metrics: METRICS, isCalm },
    ...{ ledger: new Set<string>() satisfies Ledger },
    laneOf: (address) => laneOf(TABLE, { domain: address.slice(address.indexOf('@') + 1), queueId: '', local: false }),
    replyMs: options.replyMs ?? (() => 0),
    connectQueue: async (address) => {
      const found = workers.find(({ name, state }) => state === 'running' && address === `${name}.test:1`);
      if (found === undefined) throw new Unavailable(`nobody answers at ${address}`);
      return { ...found.delivery.ownQueue, close: () => {} };
    },
    ...(options.plant === undefined ? {} : { plant: options.plant }),
  };
  const routingClock = time.process();
  const routing = createRouting({
    ...{ config, clock: routingClock, random: chance.fork().next, logger, metrics: METRICS, tracing: noTracing, blobs, log },
    ...{ directory: createDirectory(), laneTable: () => TABLE },
  });
  let born = 0;
  return {
    ...{ time, truth, log, workers, alarms, letters },
    join(name) {
      const worker = createWorkerProcess(around, name, `${name}.${born++}`);
      workers.push(worker);
      worker.start();
      return worker;
    },
    async submit(recipients) {
      const queueId = `M${String(letters.size).padStart(25, '0')}`;
      letters.set(queueId, recipients);
      await log.append('mail.in', letters.size % 2, [
        encodeRecord({ $case: 'accepted', value: acceptedOf(queueId, recipients, time.nowMs()) }),
      ]);
    },
    async lose(recipient) {
      await routing.stop();
      const queueId = 'LOST';
      await log.append('mail.in', 0, [encodeRecord({ $case: 'accepted', value: acceptedOf(queueId, [recipient], time.nowMs()) })]);
      const stopping = new AbortController();
      await log.consume({
        ...{ group: 'routing', topics: ['mail.in'], maxBatchOctets: 1e6, signal: stopping.signal },
        onBatch: async ({ records }) => {
          stopping.abort();
          return (records.at(-1)?.offset ?? 0) + 1;
        },
      });
    },
    loseLeases() {
      const leases = opened.storage.partitions.get('mail.lease/0');
      leases?.records.splice(0);
      if (leases !== undefined) leases.low = 0;
    },
    stall(ms) {
      stalledUntilMs = time.nowMs() + ms;
    },
    calm() {
      isQuiet = true;
      stalledUntilMs = 0;
      opened.log.landCopies();
    },
    running: () => workers.filter(({ state }) => state === 'running'),
    async start() {
      await log.append('mail.control', 0, [encodeRecord({ $case: 'laneTable', value: TABLE })]);
      await routing.start();
      await time.settle();
    },
    async end() {
      for (const worker of workers) worker.kill();
      routingClock.kill();
      opened.log.crash();
      await time.settle();
    },
  };
}
