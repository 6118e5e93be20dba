import { createMemoryBlobs } from '@angarium/blob';
import { createLaneFold } from '@angarium/lanes';
import { createMemoryStorage, openMemoryLog } from '@angarium/log';
import { decodeRecord, encodeRecord, type Kind } from '@angarium/records';
import { configSchema, createMetrics, type Logger, noTracing } from '@angarium/runtime';
import { createCore } from '../core.ts';
import { createDispatch } from '../dispatch.ts';
import type { Lane } from '../lane/lane.ts';
import { createProgress } from '../lane/progress.ts';
import { createWire } from '../lane/wire.ts';
import type { Notifier } from '../notify/notifier.ts';
import { follow } from '../reading.ts';
import type { Transport } from '../transport/port.ts';
import { hopKeyOf } from '../unit.ts';
import { createHandClock, settle } from './clock.ts';
import { dead, envelopeOf, START_MS, takes, toMx } from './world.ts';

const logger: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => logger };
const notifier: Notifier = { ask() {}, stop() {} };

/** Hosts of dead.test do not answer, all others take everything. */
const transport: Transport = {
  carries: () => true,
  resolve: async ({ name }) => ({ is: 'plan', plan: { site: name, title: name, validUntilMs: Number.MAX_SAFE_INTEGER } }),
  attempt: async (job) => (job.plan.site === 'dead.test' ? dead : takes)(job),
  close: async () => {},
};

/**
 * One lane whose records are read back at once, without a log: what is measured is what waits, and nothing else. Where the mail
 * goes is known.
 */
export async function createSmallWorld() {
  const clock = createHandClock(START_MS);
  const config = configSchema.parse({ hostname: 'angarium.test', delivery: { bodyCacheOctets: 1 } });
  const partitions = { 'mail.in': 1, 'mail.in.bulk': 1, 'mail.lane': 1, 'mail.control': 1, 'mail.dead': 1, 'mail.lease': 1 };
  const log = {
    ...openMemoryLog({ partitions, nowMs: clock.nowMs, storage: createMemoryStorage() }),
    read: async (_topic: string, _partition: number, offset: number) => [{ offset, appendedAtMs: 0, value: encodeRecord(mail(0, 'any')) }],
  };
  const blobs = createMemoryBlobs({ nowMs: clock.nowMs });
  const metrics = createMetrics({ withProcess: false });
  const mailbox = { deliver: () => Promise.reject(new Error('no mailbox here')) };
  const ports = {
    config,
    clock,
    random: () => 0.5,
    logger,
    metrics,
    tracing: noTracing,
    log,
    blobs,
    transports: [transport],
    mailbox,
    ownerName: 'small',
  };
  const core = createCore(ports);
  const dispatch = createDispatch(core);
  const fold = createLaneFold({ lane: 0, incarnation: 1 });
  const append = async (kind: Kind): Promise<number> => {
    const decoded = decodeRecord(encodeRecord(kind));
    if (decoded.is !== 'known') throw new Error('a record of the test cannot be read');
    const record = { offset: fold.position, appendedAtMs: clock.nowMs(), octets: 600, kind: decoded.kind };
    follow(core, notifier, { lane, record, change: fold.apply(record) });
    return record.offset;
  };
  const lane = {
    ...{ number: 0, fold, state: 'live', trouble: '', epoch: 1, watermark: 0, append },
    ...{ progress: createProgress(), wire: createWire(), queue: { pending: 0, oldestMs: undefined } },
  } as unknown as Lane;
  core.lanes.push(lane);
  for (const domain of ['dead.test', 'live.test']) {
    const hop = toMx(`postmaster@${domain}`).nextHop;
    await core.hops.resolve(hopKeyOf(hop), hop);
  }
  return {
    ...{ core, clock, fold, lane, append },
    /** Mail with a content of its own, to one recipient each. */
    async enqueue(from: number, to: number, domain: string) {
      for (let at = from; at < to; at++) await append(mail(at, domain));
      dispatch.pump();
      await settle();
    },
  };
}

export type SmallWorld = Awaited<ReturnType<typeof createSmallWorld>>;

function mail(at: number, domain: string): Kind {
  const queueId = `01JD0000000000000000${String(at).padStart(6, '0')}`;
  const envelope = envelopeOf(queueId, { reversePath: `news@sender-${at % 100}.example`, messageId: `<${at}.2026@mail.sender.example>` });
  const src = { topic: 'mail.in', partition: 0, offset: at, incarnation: 1 };
  const value = Buffer.from(`Subject: ${at}\r\n\r\nbody\r\n`);
  const content = { place: { $case: 'inline', value } as const, octets: value.length, laneBlob: false };
  const recipients = [toMx(`recipient.${String(at).padStart(6, '0')}@${domain}`)];
  const counts = { chunk: 0, acceptedRecipients: 1, expandedRecipients: 1 };
  return { $case: 'enqueued', value: { src, floor: 0, envelope, content, recipients, ...counts } };
}
