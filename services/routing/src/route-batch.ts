import type { GroupBatch, LogRecord, TopicName } from '@angarium/log';
import { type Accepted, type Content, encodeRecord, type LaneTable } from '@angarium/records';
import type { Directory, Expansion } from '@angarium/rpc';
import { type DeadReason, readAccepted } from './accepted.ts';
import { askExpansions } from './expansions.ts';
import type { Floor } from './floors.ts';
import type { Meters, Stall } from './meters.ts';
import { cutLanes, encodeEnqueued, fitsInline, type LaneChunk, wantsBlob } from './plan.ts';
import { placeRecipients } from './recipients.ts';
import { type RetryOptions, Stopping, untilItWorks } from './retry.ts';
import type { RoutingDeps } from './routing-deps.ts';

export interface BatchDeps extends RoutingDeps {
  readonly expander: Directory;
  readonly meters: Meters;
  readonly retry: RetryOptions;
}

interface Message {
  readonly record: LogRecord;
  readonly accepted: Accepted;
  readonly queueId: string;
}

interface Dead {
  readonly record: LogRecord;
  readonly reason: DeadReason;
  readonly queueId: string;
  readonly detail: string;
}

/** Values by lane that are not durable yet. */
type Outbox = Map<number, Uint8Array[]>;

/** Repeats what the world refuses, and says so; ends with `Stopping` alone. */
function persist<T>(deps: BatchDeps, cause: Stall, work: () => Promise<T>): Promise<T> {
  const onFault = (error: unknown) => {
    deps.meters.stalled(cause);
    deps.logger.warn({ cause, reason: error instanceof Error ? error.message : String(error) }, 'routing.batch.stalled');
  };
  return untilItWorks(deps.retry, onFault, work);
}

function laneTableOf(deps: BatchDeps, version: number): Promise<LaneTable> {
  return persist(deps, 'lane_table', async () => {
    const table = deps.laneTable(version);
    if (table === undefined) throw new Error(`lane table ${version} is not known`);
    return table;
  });
}

async function flush(deps: BatchDeps, outbox: Outbox): Promise<void> {
  const appends = [...outbox].map(([lane, values]) => persist(deps, 'lane_append', () => deps.log.append('mail.lane', lane, values)));
  // All of them end before anything is said: an append that goes on behind a rejection would outlive the stop.
  const failed = (await Promise.allSettled(appends)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
  outbox.clear();
}

/** A reference for the operator; the record itself stays in `mail.in`, which keeps it while it is named there. */
async function buryDead(deps: BatchDeps, { topic, partition }: GroupBatch, { record, reason, queueId, detail }: Dead): Promise<void> {
  const src = { topic, partition, offset: record.offset, incarnation: deps.log.incarnation };
  const value = encodeRecord({
    $case: 'dead',
    value: { src, reason: detail === '' ? reason : `${reason}: ${detail}`.slice(0, 500), queueId },
  });
  await persist(deps, 'dead_append', () => deps.log.append('mail.dead', partition % deps.log.partitions('mail.dead'), [value]));
  deps.meters.dead(reason);
  deps.logger.error({ queueId, ...src, reason, detail, cure: 'look at mail.dead; the record stays in the log' }, 'routing.record.dead');
}

/** Content as the lanes get it: in one shared blob where its copies would take too much room. */
async function settleContent(deps: BatchDeps, { accepted, queueId }: Message, chunks: readonly LaneChunk[]): Promise<Content> {
  const content = accepted.content ?? { place: undefined, octets: 0, laneBlob: false };
  const inline = content.place?.$case === 'inline' ? content.place.value : undefined;
  if (inline === undefined || !wantsBlob(content, chunks, deps.config.routing.inlineFanoutMaxOctets)) return content;
  const key = `shared/${queueId}`;
  const stored: Content = { place: { $case: 'blobKey', value: key }, octets: inline.length, laneBlob: false };
  if (!fitsInline(content, chunks)) {
    await persist(deps, 'blob', () => deps.blobs.put(key, inline));
    return stored;
  }
  try {
    await deps.blobs.put(key, inline);
    return stored;
  } catch (error) {
    // The blob only saves room: nobody's mail waits for it.
    deps.meters.inlinedInstead();
    deps.logger.warn({ queueId, reason: String(error) }, 'routing.blob.inlined');
    return content;
  }
}

interface Origin {
  readonly topic: TopicName;
  readonly partition: number;
  readonly floor: Floor;
}

/** Puts the records of one message into the outbox. */
async function routeMessage(
  deps: BatchDeps,
  message: Message,
  { expansions, origin, outbox }: { expansions: ReadonlyMap<string, Expansion>; origin: Origin; outbox: Outbox },
): Promise<number> {
  const { record, accepted, queueId } = message;
  const table = await laneTableOf(deps, accepted.laneTableVersion);
  const expansionOf = (forwardPath: string) => {
    const expansion = expansions.get(forwardPath);
    if (expansion === undefined) throw new Error('a recipient was not expanded');
    return expansion;
  };
  const placed = placeRecipients(accepted, expansionOf, table);
  const chunks = cutLanes(placed);
  const content = await settleContent(deps, message, chunks);
  const { topic, partition, floor } = origin;
  const src = { topic, partition, offset: record.offset, incarnation: deps.log.incarnation };
  const stamp = { src, floor: floor.at(record.appendedAtMs), content, expandedRecipients: placed.recipients };
  const values = chunks.map((chunk) => encodeEnqueued(accepted, chunk, stamp));
  let octets = 0;
  chunks.forEach(({ lane }, at) => {
    const value = values[at] ?? new Uint8Array();
    octets += value.length;
    const inLane = outbox.get(lane);
    if (inLane) inLane.push(value);
    else outbox.set(lane, [value]);
  });
  deps.meters.placed(placed.placements);
  deps.logger.debug({ queueId, recipients: placed.recipients, records: chunks.length }, 'routing.message.routed');
  return octets;
}

/** A message that cannot become records, for a reason that no repetition changes, is set aside: others go on. */
async function routeOrBury(
  deps: BatchDeps,
  batch: GroupBatch,
  message: Message,
  work: Parameters<typeof routeMessage>[2],
): Promise<number> {
  const { queueId, accepted } = message;
  const parent = accepted.envelope?.traceparent ?? '';
  const span = deps.tracing.start('routing route', { kind: 'consumer', parent, attributes: { 'angarium.queue_id': queueId } });
  try {
    const octets = await routeMessage(deps, message, work);
    span.end();
    return octets;
  } catch (error) {
    span.end({ failed: String(error) });
    if (error instanceof Stopping) throw error;
    const detail = error instanceof Error ? error.message : String(error);
    await buryDead(deps, batch, { record: message.record, reason: 'unroutable', queueId, detail });
    return 0;
  }
}

/**
 * Routes a batch: when this resolves, every record below the returned offset is durable in each of its lanes, or named in
 * `mail.dead`. What the world refuses is repeated until it works; only a stop makes it return early.
 */
export async function routeBatch(deps: BatchDeps, batch: GroupBatch, floor: Floor): Promise<number> {
  const { topic, partition, records } = batch;
  const readings = records.map((record) => ({ record, reading: readAccepted(record) }));
  const forwardPaths = new Set(
    readings.flatMap(({ reading }) => (reading.is === 'message' ? reading.accepted.recipients.map(({ forwardPath }) => forwardPath) : [])),
  );
  const work = {
    expansions: new Map<string, Expansion>() as ReadonlyMap<string, Expansion>,
    origin: { topic, partition, floor },
    outbox: new Map(),
  };
  let durable = records[0]?.offset ?? batch.committed;
  let messages = 0;
  let octets = 0;
  const settle = async (next: number) => {
    await flush(deps, work.outbox);
    if (topic === 'mail.in' || topic === 'mail.in.bulk') deps.meters.routed(topic, messages);
    durable = next;
    messages = 0;
    octets = 0;
  };
  try {
    deps.meters.expanded(forwardPaths.size);
    work.expansions = await persist(deps, 'directory', () => askExpansions(deps.expander, forwardPaths));
    for (const { record, reading } of readings) {
      if (reading.is === 'dead') await buryDead(deps, batch, { record, ...reading });
      if (reading.is !== 'message') continue;
      const added = await routeOrBury(deps, batch, { record, ...reading }, work);
      if (added > 0) messages++;
      octets += added;
      if (octets >= deps.config.routing.maxBatchOctets) await settle(record.offset + 1);
    }
    await settle((records.at(-1)?.offset ?? durable - 1) + 1);
  } catch (error) {
    if (!(error instanceof Stopping)) throw error;
  }
  return durable;
}
