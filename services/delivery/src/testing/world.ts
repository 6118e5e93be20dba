import { type BlobStore, createMemoryBlobs } from '@angarium/blob';
import {
  type AppendFate,
  createMemoryStorage,
  type LogRecord,
  type MemoryLog,
  type MemoryStorage,
  openMemoryLog,
  type TopicName,
} from '@angarium/log';
import {
  type Accepted,
  BodyType,
  decodeRecord,
  type Envelope,
  encodeRecord,
  type Kind,
  NextHopKind,
  type Outcome,
  type Recipient,
  Result,
  Ret,
  type Source,
} from '@angarium/records';
import { type DeliverRequest, DeliverResult, type Mailbox, Unavailable } from '@angarium/rpc';
import { type Clock, configSchema, createMetrics, type Logger, noTracing } from '@angarium/runtime';
import { createDelivery } from '../create-delivery.ts';
import type { AttemptResult, Job, RecipientResult, Resolution, Transport } from '../transport/port.ts';
import { createHandClock, settle } from './clock.ts';

export const START_MS = 1_700_000_000_000;
const PARTITIONS = { 'mail.in': 1, 'mail.in.bulk': 1, 'mail.lane': 2, 'mail.control': 1, 'mail.dead': 1 };

export interface Mail {
  readonly queueId: string;
  readonly to: readonly (Partial<Recipient> & { readonly address: string })[];
  readonly lane?: number;
  readonly envelope?: Partial<Envelope>;
  readonly content?: string;
  readonly blobKey?: string;
  readonly src?: Source;
}

export interface Line {
  readonly level: string;
  readonly event: string;
  readonly [key: string]: unknown;
}

const domainOf = (address: string) => address.slice(address.lastIndexOf('@') + 1);

export function envelopeOf(queueId: string, over: Partial<Envelope> = {}): Envelope {
  return {
    queueId,
    reversePath: 'sender@here.test',
    envid: '',
    ret: Ret.UNSPECIFIED,
    bodyType: BodyType.UNSPECIFIED,
    smtputf8: false,
    headerUtf8: false,
    tenant: 'tenant',
    priority: 0,
    acceptedAtMs: START_MS,
    parentQueueId: '',
    traceparent: '',
    messageId: `<${queueId}@here.test>`,
    ...over,
  };
}

export const toMx = (address: string, over: Partial<Recipient> = {}): Recipient => ({
  address,
  ordinal: 0,
  notify: 0,
  orcpt: '',
  nextHop: { kind: NextHopKind.MX, name: domainOf(address), account: '' },
  verdict: undefined,
  ...over,
});
export const toMailbox = (address: string, over: Partial<Recipient> = {}): Recipient =>
  toMx(address, { nextHop: { kind: NextHopKind.MAILBOX, name: domainOf(address), account: address }, ...over });

export const answer = (code: number, enhanced: string, text = 'so be it') => ({
  code,
  enhanced,
  text,
  remoteHost: code === 0 ? '' : 'mx.test',
});

/** What a remote site does with a job; by default it takes everything. */
export type Host = (job: Job) => AttemptResult | Promise<AttemptResult>;
export const every = (job: Job, over: Partial<RecipientResult>, result: Partial<AttemptResult> = {}): AttemptResult => ({
  recipients: job.recipients.map(({ address }) => ({ address, result: 'delivered', reply: answer(250, '2.0.0'), relayed: false, ...over })),
  inDoubt: false,
  spent: true,
  site: 'reached',
  ...result,
});
export const takes: Host = (job) => every(job, {});
export const defers: Host = (job) => every(job, { result: 'deferred', reply: answer(451, '4.2.1', 'come back') });
export const bounces: Host = (job) => every(job, { result: 'bounced', reply: answer(550, '5.1.1', 'nobody') });
export const dead: Host = (job) => every(job, { result: 'deferred', reply: answer(0, '4.4.1', 'no answer') }, { site: 'failed' });

interface Remote {
  readonly transport: Transport;
  /** By domain. */
  readonly hosts: Map<string, Host>;
  readonly resolutions: Map<string, () => Promise<Resolution>>;
  readonly jobs: { readonly site: string; readonly queueId: string; readonly to: readonly string[]; readonly content: string }[];
  resolved: number;
}

function createRemote(): Remote {
  const remote: Remote = {
    hosts: new Map(),
    resolutions: new Map(),
    jobs: [],
    resolved: 0,
    transport: {
      carries: ({ kind }) => kind === NextHopKind.MX || kind === NextHopKind.SMARTHOST,
      resolve: async (hop) => {
        remote.resolved++;
        const known = remote.resolutions.get(hop.name);
        return known?.() ?? { is: 'plan', plan: { site: hop.name, title: `mx.${hop.name}`, validUntilMs: Number.MAX_SAFE_INTEGER } };
      },
      attempt: async (job) => {
        const to = job.recipients.map(({ address }) => address);
        remote.jobs.push({ site: job.plan.site, queueId: job.queueId, to, content: Buffer.from(job.content).toString() });
        return (remote.hosts.get(job.plan.site) ?? takes)(job);
      },
      close: async () => {},
    },
  };
  return remote;
}

interface Box {
  readonly mailbox: Mailbox;
  readonly requests: DeliverRequest[];
  /** By account; without one it is stored. */
  readonly results: Map<string, DeliverResult>;
  isDown: boolean;
}

function createBox(): Box {
  const box: Box = {
    requests: [],
    isDown: false,
    results: new Map(),
    mailbox: {
      deliver: async (request) => {
        if (box.isDown) throw new Unavailable('down');
        box.requests.push(request);
        return { id: request.id, results: request.recipients.map(({ account }) => box.results.get(account) ?? DeliverResult.STORED) };
      },
    },
  };
  return box;
}

function createLines(): { readonly lines: Line[]; readonly logger: Logger } {
  const lines: Line[] = [];
  const at = (level: string) => (fields: object, event: string) => void lines.push({ ...fields, level, event });
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => logger };
  return { lines, logger };
}

interface Store {
  readonly storage: MemoryStorage;
  /** Decides what becomes of each append. */
  readonly faults: { fate: (topic: TopicName, partition: number) => AppendFate | Promise<AppendFate> };
  /** Free share of the disk, octets of the shared file behind each lane. */
  readonly space: { free: number; held: number };
  open(nowMs: () => number): MemoryLog & { freeShare(): number };
  /** What is in a partition, and what was trimmed from it. */
  all(key: string): readonly LogRecord[];
}

function createStore(): Store {
  const storage = createMemoryStorage();
  const trimmed = new Map<string, LogRecord[]>();
  const faults: Store['faults'] = { fate: () => 'kept' };
  const space = { free: 1, held: 0 };
  const fate = (topic: TopicName, partition: number) => faults.fate(topic, partition);
  const open = (nowMs: () => number) => {
    const log = openMemoryLog({ partitions: PARTITIONS, nowMs, storage, fate });
    const { trim } = log;
    const keepTrimmed: typeof trim = async (topic, partition, below) => {
      const key = `${topic}/${partition}`;
      const { low = 0, records = [] } = storage.partitions.get(key) ?? {};
      trimmed.set(key, [...(trimmed.get(key) ?? []), ...records.slice(0, Math.max(0, below - low))]);
      await trim(topic, partition, below);
    };
    return Object.assign(log, {
      trim: keepTrimmed,
      freeShare: () => space.free,
      heldOctets: () => space.held,
    });
  };
  const all = (key: string) => [...(trimmed.get(key) ?? []), ...(storage.partitions.get(key)?.records ?? [])];
  return { storage, faults, space, open, all };
}

const kindsOf = (records: readonly LogRecord[]): readonly Kind[] =>
  records.flatMap(({ value }) => {
    const decoded = decodeRecord(value);
    return decoded.is === 'known' ? [decoded.kind] : [];
  });

function createReports({ storage, all }: Store) {
  const records = (topic: TopicName, partition = 0): readonly Kind[] =>
    kindsOf(storage.partitions.get(`${topic}/${partition}`)?.records ?? []);
  const outcomes = (lane = 0): readonly Outcome[] =>
    records('mail.lane', lane).flatMap((kind) => (kind.$case === 'outcome' ? [kind.value] : []));
  const nameOf = (result: Result) =>
    Object.entries(Result)
      .find(([, value]) => value === result)?.[0]
      .toLowerCase();
  return {
    records,
    outcomes,
    /** "address result" of each recipient of each outcome, in order. */
    results: (lane = 0): readonly string[] =>
      outcomes(lane).flatMap(({ recipients }) =>
        recipients.flatMap(({ addresses, result }) => addresses.map((address) => `${address} ${nameOf(result)}`)),
      ),
    /** All outcomes, trimmed ones too. */
    ended: (lane: number): readonly Outcome[] =>
      kindsOf(all(`mail.lane/${lane}`)).flatMap((kind) => (kind.$case === 'outcome' ? [kind.value] : [])),
    /** Notifications that became mail. */
    dsns: (): readonly Accepted[] => records('mail.in.bulk').flatMap((kind) => (kind.$case === 'accepted' ? [kind.value] : [])),
  };
}

function enqueued(
  { queueId, to, envelope, content = `Subject: ${queueId}\r\n\r\nbody\r\n`, blobKey, src }: Mail,
  nowMs: number,
): Uint8Array {
  const octets = Buffer.from(content);
  const place = blobKey === undefined ? ({ $case: 'inline', value: octets } as const) : ({ $case: 'blobKey', value: blobKey } as const);
  const value = {
    src,
    floor: 0,
    envelope: envelopeOf(queueId, { acceptedAtMs: nowMs, ...envelope }),
    content: { place, octets: octets.length, laneBlob: false },
    chunk: 0,
    recipients: to.map((one) => ({ ...toMx(one.address), ...one })),
    acceptedRecipients: to.length,
    expandedRecipients: to.length,
  };
  return encodeRecord({ $case: 'enqueued', value });
}

type Alive = { readonly is: boolean };

const mortalClock = (clock: Clock, alive: Alive): Clock => ({
  nowMs: clock.nowMs,
  after: (ms, run) => clock.after(ms, () => alive.is && run()),
});

/** What a killed process asked for never comes, and what it would ask for is not done. */
function mortalBlobs(blobs: BlobStore, alive: Alive): BlobStore {
  const never = <T>(): Promise<T> => new Promise(() => {});
  return {
    put: (key, body) => (alive.is ? blobs.put(key, body) : never()),
    get: (key) => (alive.is ? blobs.get(key) : never()),
    delete: (key) => (alive.is ? blobs.delete(key) : never()),
    list: (prefix) => blobs.list(prefix),
  };
}

/** Delivery over a log in memory, with hosts and a mailbox that do as they are told, on a clock that the test moves. */
export function createWorld(delivery: Record<string, unknown> = {}) {
  const clock = createHandClock(START_MS);
  const config = configSchema.parse({ hostname: 'angarium.test', delivery: { housekeepingMs: 3_600_000, ...delivery } });
  const store = createStore();
  const blobs = createMemoryBlobs({ nowMs: clock.nowMs });
  const [remote, box, { lines, logger }] = [createRemote(), createBox(), createLines()];
  const start = () => {
    const alive = { is: true };
    const metrics = createMetrics({ withProcess: false });
    const log = store.open(clock.nowMs);
    const own = { clock: mortalClock(clock, alive), blobs: mortalBlobs(blobs, alive) };
    const base = { config, random: () => 0.5, logger, metrics, tracing: noTracing, log, ownerName: 'world', ...own };
    return { log, metrics, alive, delivery: createDelivery({ ...base, transports: [remote.transport], mailbox: box.mailbox }) };
  };
  let now = start();
  const world = {
    ...createReports(store),
    ...{ clock, config, blobs, remote, box, lines },
    faults: store.faults,
    space: store.space,
    get log() {
      return now.log;
    },
    get delivery() {
      return now.delivery;
    },
    /** In one append to a lane. */
    async enqueueAll(mails: readonly Mail[], lane = 0) {
      const values = mails.map((mail) => enqueued(mail, clock.nowMs()));
      await now.log.append('mail.lane', lane, values);
      await settle();
    },
    enqueue: (mail: Mail) => world.enqueueAll([mail], mail.lane),
    async start() {
      const started = now.delivery.start();
      await settle();
      await started;
    },
    /** As after kill -9: nothing more comes from the old process. */
    async kill() {
      now.log.crash();
      now.alive.is = false;
      await settle();
      now = start();
    },
    async stop() {
      const stopped = now.delivery.stop();
      await clock.pass(config.delivery.drainMs + 10_000);
      await stopped;
    },
    async metric(name: string): Promise<number> {
      const { text } = await now.metrics.scrape();
      const values = text.split('\n').filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length] ?? ''));
      return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
  };
  return world;
}

export type World = ReturnType<typeof createWorld>;
