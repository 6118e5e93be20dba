import type { Duplex } from 'node:stream';
import { type BlobStore, createMemoryBlobs } from '@angarium/blob';
import { createDelivery, type Delivery } from '@angarium/delivery';
import { createIngress, type Ingress } from '@angarium/ingress';
import { createLaneTable } from '@angarium/lanes';
import { AppendFailed, createMemoryStorage, type Log, type MemoryLog, openMemoryLog } from '@angarium/log';
import { encodeRecord, type LaneTable } from '@angarium/records';
import { createRouting, type Routing, type RoutingDeps } from '@angarium/routing';
import { CheckResult, type Directory, Placement, type Target, Unavailable } from '@angarium/rpc';
import { configSchema, type Logger, type Metrics, noTracing, type TlsSource } from '@angarium/runtime';
import type { Chance } from './chance.ts';
import { createHosts, createStore, drawHosts, type Ledger } from './hosts.ts';
import { createVirtualTime, type ProcessClock, type VirtualTime } from './virtual-time.ts';
import { CLIENT_ADDRESS, createWire } from './wire.ts';
import { createWitness, type Witness } from './witness.ts';

const MINUTE_MS = 60_000;
const LANES = 3;
const lanes = Array.from({ length: LANES }, (_, lane) => lane);
export const START_MS = 1_700_000_000_000;

/** Queues live for hours instead of days, and little is far; everything else is as shipped. */
const configOf = (housekeepingMs: number) =>
  configSchema.parse({
    hostname: 'angarium.test',
    ingress: {
      mx: { listen: [] },
      submission: { listen: [] },
      submissions: { listen: [] },
      relayNetworks: [`${CLIENT_ADDRESS}/32`],
      inlineMaxOctets: 1024,
      sweepMs: 30_000,
      // The event loop is the only thing here that keeps real time.
      maxEventLoopLagMs: 3_600_000,
    },
    delivery: {
      retryMs: [1, 5, 10, 20, 30].map((minutes) => minutes * MINUTE_MS),
      lifetimeMs: 180 * MINUTE_MS,
      bounceLifetimeMs: 90 * MINUTE_MS,
      warnAfterMs: 60 * MINUTE_MS,
      housekeepingMs,
      historyMs: 15 * MINUTE_MS,
      moveAfterRecords: 12,
      sharedBlobMs: 100 * MINUTE_MS,
      sweepEveryMs: 20 * MINUTE_MS,
    },
  });
const CONFIGS = [1, 7].map((minutes) => configOf(minutes * MINUTE_MS));
export const LIFETIME_MS = (180 + 90) * MINUTE_MS;
export const COPY_MS = 20_000;

const none = () => {};
const METRICS: Metrics = {
  counter: () => ({ inc: none }),
  gauge: () => ({ set: none }),
  gaugeOf: none,
  histogram: () => ({ observe: none }),
  scrape: async () => ({ contentType: '', text: '' }),
};

/** A log that does not keep its word, for the one who asks. */
export type Plant = (log: Log, asker: 'ingress' | 'routing' | 'delivery') => Log;

interface Running {
  readonly clock: ProcessClock;
  readonly log: MemoryLog;
  readonly ingress: Ingress;
  readonly delivery: Delivery;
  readonly routing: Routing;
}

export interface World {
  readonly time: VirtualTime;
  readonly witness: Witness;
  /** Lines that must never be written. */
  readonly alarms: readonly string[];
  /** Newest lane table: what mail is stamped with. */
  laneTable: LaneTable;
  /** From now on nothing fails any more but hosts that are dead. */
  calm(): void;
  isCalm(): boolean;
  readonly now: Running;
  /** A client's end of a new connection. It breaks when the process dies. */
  connect(): Duplex;
  /** Records that were given up below watermarks of lanes. */
  trimmed(): number;
  start(): Promise<void>;
  /** As by kill -9; then started again over what is durable. */
  crash(): Promise<void>;
  /** As by SIGTERM. */
  restart(): Promise<void>;
  /** SIGTERM, and kill -9 when so much time has passed. */
  cutShort(afterMs: number): Promise<void>;
  addLaneTable(table: Partial<LaneTable>): Promise<void>;
  blobs: ReturnType<typeof createMemoryBlobs>;
}

/** smtp-server has a certificate of its own for those that have none. */
const NO_TLS = { current: () => ({}), onChange: () => none } as unknown as TlsSource;

const ALARMS = [
  'delivery.accounting.differed',
  'delivery.lane.halted',
  'routing.partition.halted',
  'routing.record.dead',
  'delivery.original.missing',
];

function createAlarm(alarms: string[]): Logger {
  const ring = (fields: object, event: string) => {
    if (ALARMS.includes(event)) alarms.push(`${event} ${JSON.stringify(fields)}`);
  };
  const logger: Logger = { debug: none, info: none, warn: ring, error: ring, child: () => logger };
  return logger;
}

const at = (address: string) => address.slice(address.indexOf('@') + 1);

/** `list` leads to five addresses of every kind. */
export const MEMBERS = ['u1@here.test', 'member@a.test', 'bad@b.test', 'member@c.test', 'gone@here.test'] as const;
/** Addresses that a recipient is expanded to. */
export const expand = (address: string): readonly string[] => (address === 'list@here.test' ? MEMBERS : [address]);

function targetOf(address: string): Target {
  if (at(address) !== 'here.test') return { address, placement: Placement.MX, name: at(address) };
  return { address, placement: address.startsWith('gone') ? Placement.UNKNOWN_USER : Placement.MAILBOX, name: address };
}

function checkOf(address: string): CheckResult {
  if (at(address) !== 'here.test') return CheckResult.REMOTE;
  return address.startsWith('gone') ? CheckResult.UNKNOWN_USER : CheckResult.LOCAL;
}

function createDirectory(chance: Chance, isCalm: () => boolean): NonNullable<RoutingDeps['directory']> {
  const expandAll: Directory['expand'] = async ({ forwardPaths }) => {
    if (!isCalm() && chance.hits(0.03)) throw new Unavailable('the directory is down');
    return { expansions: forwardPaths.map((path) => ({ targets: expand(path).map(targetOf) })) };
  };
  const check: Directory['check'] = async ({ forwardPaths }) => {
    if (!isCalm() && chance.hits(0.03)) throw new Unavailable('the directory is down');
    return { results: forwardPaths.map(checkOf) };
  };
  return { directory: { check, expand: expandAll }, admin: {}, close: async () => {} } as unknown as NonNullable<RoutingDeps['directory']>;
}

/** A blob store that is down for an instant now and then. */
function createShakyBlobs(blobs: BlobStore, chance: Chance, isCalm: () => boolean): BlobStore {
  const stumble = () => {
    if (!isCalm() && chance.hits(0.02)) throw new Error('the blob store is down');
  };
  return {
    ...blobs,
    put: async (key, body) => {
      stumble();
      await blobs.put(key, body);
    },
    get: async (key) => {
      stumble();
      return blobs.get(key);
    },
  };
}

/** Accepted mail, and everything durable in a lane, passes the witness, whoever wrote it. */
function observed(log: MemoryLog, witness: Witness): MemoryLog {
  const append: Log['append'] = async (topic, partition, values) => {
    if (topic === 'mail.in') witness.accept(values, { isDoubtful: false });
    try {
      const offset = await log.append(topic, partition, values);
      if (topic === 'mail.lane') witness.record(values);
      return offset;
    } catch (error) {
      const isDoubtful = error instanceof AppendFailed && error.inDoubt;
      if (topic === 'mail.lane' && isDoubtful) witness.record(values);
      if (topic === 'mail.in') witness.accept(values, { isDoubtful });
      throw error;
    }
  };
  return { ...log, append };
}

export function createWorld(chance: Chance, plant: Plant = (log) => log): World {
  const time = createVirtualTime(START_MS);
  const witness = createWitness();
  const storage = createMemoryStorage();
  const blobs = createMemoryBlobs({ nowMs: time.nowMs });
  const shaky = createShakyBlobs(blobs, chance.fork(), () => isQuiet);
  const ledger: Ledger = new Set();
  const hosts = drawHosts(chance, START_MS);
  const tables = new Map<number, LaneTable>();
  const alarms: string[] = [];
  const config = chance.pick(CONFIGS);
  const logger = createAlarm(alarms);
  const trouble = chance.hits(0.8) ? chance.next() * 0.06 : 0;
  // Some logs write nearly everything twice.
  const copying = chance.hits(0.3) ? 0.4 : trouble;
  let isQuiet = false;
  let isOver = false;
  const isCalm = () => isQuiet;
  const fates = chance.fork();

  const fate: Parameters<typeof openMemoryLog>[0]['fate'] = () => {
    if (isOver || isQuiet) return 'kept';
    const drawn = fates.hits(trouble) ? 'lost' : fates.hits(trouble) ? 'inDoubt' : fates.hits(copying) ? 'twice' : 'kept';
    if (drawn === 'twice') time.world.after(fates.between(1, COPY_MS), () => now.log.landCopies());
    return fates.hits(trouble) ? time.world.wait(fates.between(1, 3000)).then(() => drawn) : drawn;
  };
  const open = (): Running => {
    const clock = time.process();
    const log = observed(
      openMemoryLog({
        partitions: { 'mail.in': 2, 'mail.in.bulk': 1, 'mail.lane': LANES, 'mail.control': 1, 'mail.dead': 1 },
        ...{ nowMs: time.nowMs, storage, fate },
      }),
      witness,
    );
    const draws = chance.fork();
    const base = { config, clock, random: draws.next, logger, metrics: METRICS, tracing: noTracing, blobs: shaky };
    const outside = { chance: chance.fork(), clock, witness, isCalm };
    const directory = createDirectory(chance.fork(), isCalm);
    const ingress = createIngress({
      ...base,
      ...{ log: plant(log, 'ingress'), tls: NO_TLS, directory: directory.directory },
      laneTableVersion: () => world.laneTable.version,
    });
    const routing = createRouting({ ...base, log: plant(log, 'routing'), directory, laneTable: (version) => tables.get(version) });
    const delivery = createDelivery({
      ...base,
      ...{ log: plant(log, 'delivery'), ownerName: 'simulation' },
      ...{ transports: [createHosts({ ...outside, hosts })], mailbox: createStore(ledger, outside) },
    });
    return { clock, log, ingress, delivery, routing };
  };
  const wires = new Set<Duplex>();
  const stop = async ({ ingress, routing, delivery }: Running) => {
    await ingress.stop();
    await Promise.all([delivery.stop(), routing.stop()]);
  };
  const start = async () => {
    const { ingress, routing, delivery } = now;
    // Whoever cannot start ends, and is started again.
    Promise.all([ingress.start(), routing.start(), delivery.start()]).catch(() => {
      time.world.after(1000, () => void (now.delivery === delivery && world.crash()));
    });
    await time.settle();
  };
  const kill = () => {
    now.clock.kill();
    now.log.crash();
    for (const wire of wires) wire.destroy();
    wires.clear();
    witness.processDied();
  };
  const world: World = {
    time,
    witness,
    alarms,
    blobs,
    laneTable: createLaneTable({ version: 0, lanes: LANES }),
    calm() {
      isQuiet = true;
    },
    isCalm,
    get now() {
      return now;
    },
    connect() {
      const { client, server } = createWire(time.stir);
      wires.add(client);
      client.once('close', () => wires.delete(client));
      now.ingress.take('mx', server);
      return client;
    },
    trimmed: () => lanes.reduce((sum, lane) => sum + (storage.partitions.get(`mail.lane/${lane}`)?.low ?? 0), 0),
    start,
    async crash() {
      kill();
      await time.settle();
      now = open();
      await start();
    },
    async restart() {
      let stopped = false;
      const stopping = stop(now).then(() => {
        stopped = true;
      });
      stopping.catch(() => {});
      for (let seconds = 0; !stopped && seconds < 60; seconds++) await time.pass(1000);
      if (!stopped) throw new Error('the services did not stop within 60 s');
      await world.crash();
    },
    async cutShort(afterMs) {
      stop(now).catch(() => {});
      await time.pass(afterMs);
      await world.crash();
    },
    async addLaneTable(fields) {
      const table = createLaneTable({ lanes: LANES, ...fields, version: world.laneTable.version + 1 });
      isOver = true;
      await now.log.append('mail.control', 0, [encodeRecord({ $case: 'laneTable', value: table })]);
      isOver = false;
      tables.set(table.version, table);
      world.laneTable = table;
    },
  };
  let now = open();
  return world;
}
