import {
  type Accounting,
  type AccountingCheckpoint,
  type AccountingOrigin,
  type AccountingReport,
  type Change,
  createAccounting,
  type LaneFold,
  type LaneRecord,
} from '@angarium/lanes';
import type { Marks } from '@angarium/log';
import type { Kind } from '@angarium/records';
import type { Core } from '../core.ts';
import type { Lane } from '../lane/lane.ts';
import { backoffMs, crash, pause, reasonOf } from '../pause.ts';
import { dropOlder, loadCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { type Follower, followLane } from './follower.ts';
import { createInputs, type InputPartition, readInputs } from './inputs.ts';

/** A lane as the count sees it: this process's own, or one that it follows. */
export interface LaneView {
  readonly number: number;
  readonly fold: LaneFold;
  readTo(offset: number): Promise<void>;
}

/**
 * The reconciler: folds input topics and lanes into the count of promise 2, and remembers how far it counted. It belongs to the
 * owner of lane 0: lanes that others own are followed there, so that it holds the state of the whole queue.
 */
export interface Projection {
  /** Goes on where the count was left. Resolves when lanes may be fed; those that are not are followed. Never rejects. */
  begin(epoch: number): Promise<void>;
  /** Somebody else counts. */
  end(): Promise<void>;
  startLane(lane: Lane, position: number): void;
  onLane(lane: Lane, record: LaneRecord<Kind>, change: Change): void;
  /** It is fed no more. */
  endLane(lane: Lane): void;
  /** Learns what routing has committed, and makes the count durable; who does not count learns how far it is. */
  keep(): Promise<void>;
  /** Undefined while the lanes are replayed, and where somebody else counts. */
  report(): AccountingReport | undefined;
  /** Records below are counted for good: nothing above may be trimmed. */
  lanePosition(lane: number): number;
  /** Empty where somebody else counts. */
  readonly inputs: readonly InputPartition[];
  /** All lanes; undefined while one of them is replayed or halted, and where somebody else counts. */
  views(): readonly LaneView[] | undefined;
}

const GROUP = 'routing';

function laneMarks({ deps: { log } }: Core): Promise<readonly Marks[]> {
  const lanes = Array.from({ length: log.partitions('mail.lane') }, (_, lane) => lane);
  return Promise.all(lanes.map((lane) => log.marks('mail.lane', lane)));
}

const endsOf = (marks: readonly Marks[]): number[] => marks.map(({ high }) => high);

/** A first start: what was routed before is carried over. */
async function originOf(core: Core, inputs: readonly InputPartition[]): Promise<AccountingOrigin> {
  const { log } = core.deps;
  const partitions = await Promise.all(
    inputs.map(async ({ topic, partition }) => ({ topic, partition, position: await log.committed(GROUP, topic, partition) })),
  );
  return { incarnation: log.incarnation, laneEnds: endsOf(await laneMarks(core)), partitions };
}

/** Lanes and partitions that were added since. */
function widen(checkpoint: AccountingCheckpoint, lanes: number, inputs: readonly InputPartition[]): AccountingCheckpoint {
  const added = Math.max(0, lanes - checkpoint.lanes.length);
  const isKnown = (input: InputPartition) =>
    checkpoint.partitions.some(({ topic, partition }) => topic === input.topic && partition === input.partition);
  const fresh = inputs
    .filter((input) => !isKnown(input))
    .map(({ topic, partition }) => ({ topic, partition, position: 0, done: [], open: [], overdue: [] }));
  return {
    ...checkpoint,
    lanes: [...checkpoint.lanes, ...Array.from({ length: added }, () => ({ position: 0, originEnd: 0 }))],
    partitions: [...checkpoint.partitions, ...fresh],
  };
}

type Source = { readonly is: 'own'; readonly view: Lane } | { readonly is: 'followed'; readonly view: Follower };

/** A count under way. */
interface Counting {
  readonly epoch: number;
  readonly accounting: Accounting;
  readonly inputs: readonly InputPartition[];
  saved: AccountingCheckpoint | undefined;
  /** What feeds each lane. */
  readonly sources: Map<number, Source>;
  readonly stopping: AbortController;
  reading: Promise<void>;
}

function noteSaved(counting: Counting, checkpoint: AccountingCheckpoint): void {
  counting.saved = checkpoint;
  for (const input of counting.inputs) {
    const at = checkpoint.partitions.find(({ topic, partition }) => topic === input.topic && partition === input.partition);
    input.counted = at?.position ?? 0;
  }
}

/** A new count is kept at once: a kill before the first round must not begin another one. */
async function open(core: Core, leaseEpoch: number): Promise<Counting> {
  const { log, blobs, logger } = core.deps;
  const inputs = createInputs(core);
  const { epoch: newest, checkpoint: found } = await loadCheckpoint(blobs, logger);
  const isOurs = found !== undefined && found.incarnation === log.incarnation;
  const start = isOurs ? widen(found, log.partitions('mail.lane'), inputs) : await originOf(core, inputs);
  const epoch = Math.max(leaseEpoch, newest + 1);
  const accounting = createAccounting(start);
  const counting: Counting = {
    ...{ epoch, accounting, inputs, saved: undefined, sources: new Map(), stopping: new AbortController() },
    reading: Promise.resolve(),
  };
  const checkpoint = 'totals' in start ? start : accounting.checkpoint();
  noteSaved(counting, await saveCheckpoint(blobs, { epoch, checkpoint, saved: undefined }));
  await dropOlder(blobs, epoch);
  return counting;
}

function follow(core: Core, counting: Counting, number: number): void {
  const { accounting, sources } = counting;
  const follower = followLane(number, core.deps, {
    onStart: (lane, position) => accounting.startLane(lane, position),
    onRecord: (lane, record, change) => accounting.applyLane(lane, record, change),
  });
  sources.set(number, { is: 'followed', view: follower });
}

/** Learns what routing has committed, and makes the count durable where the lease still allows it. */
async function keepCount(core: Core, counting: Counting): Promise<void> {
  const { log, blobs } = core.deps;
  const { accounting, inputs, epoch, saved, sources } = counting;
  const committed = await Promise.all(inputs.map(({ topic, partition }) => log.committed(GROUP, topic, partition)));
  const marks = await laneMarks(core);
  for (const [index, offset] of committed.entries()) {
    const input = inputs[index];
    if (input === undefined) continue;
    accounting.committed({ topic: input.topic, partition: input.partition, offset }, endsOf(marks));
    input.committed = offset;
  }
  const first = core.lanes.find(({ number }) => number === 0);
  if (!accounting.isReplayed || counting.stopping.signal.aborted || first === undefined || !core.mayAct(first)) return;
  noteSaved(counting, await saveCheckpoint(blobs, { epoch, checkpoint: accounting.checkpoint(), saved }));
  for (const { is, view } of sources.values()) if (is === 'followed') view.fold.historyStarts(marks[view.number]?.low ?? 0);
}

function report(core: Core, { accounting, sources }: Counting): AccountingReport | undefined {
  const isWhole = sources.size === core.deps.log.partitions('mail.lane');
  const all = [...sources.values()];
  if (!isWhole || !accounting.isReplayed || all.some(({ is, view }) => is === 'own' && view.state === 'replaying')) return undefined;
  return accounting.report(all.reduce((sum, { view }) => sum + view.fold.waitingRecipients, 0));
}

async function openPersistently(core: Core, epoch: number, signal: AbortSignal): Promise<Counting | undefined> {
  const { clock, config, logger } = core.deps;
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      return await open(core, epoch);
    } catch (error) {
      if (error instanceof TypeError) crash(error);
      core.meters.ownFaults.inc({ fault: 'accounting' });
      logger.error({ reason: reasonOf(error) }, 'delivery.accounting.not_begun');
    }
    await pause(clock, backoffMs(failures, config.delivery.appendMaxRetryMs), signal);
  }
  return undefined;
}

/** Lanes that are not fed by this process's own: another one owns them, or they began before the count did. */
function followMissing(core: Core, counting: Counting, begun: WeakSet<Lane>): void {
  for (let number = 0; number < core.deps.log.partitions('mail.lane'); number++) {
    const own = core.lanes.find((lane) => lane.number === number);
    if (!counting.sources.has(number) && (own === undefined || begun.has(own))) follow(core, counting, number);
  }
}

/** All lanes, where each is read. */
function viewsOf({ deps: { log } }: Core, { sources, accounting }: Counting): readonly LaneView[] | undefined {
  const all = [...sources.values()];
  const isWhole = all.length === log.partitions('mail.lane') && accounting.isReplayed;
  return isWhole && all.every(({ is, view }) => is === 'followed' || view.state === 'live') ? all.map(({ view }) => view) : undefined;
}

export function createProjection(core: Core): Projection {
  const { blobs, logger } = core.deps;
  let beginning = new AbortController();
  let counting: Counting | undefined;
  /** As somebody else counts. */
  let learned: AccountingCheckpoint | undefined;

  /** Where a count does not have them as a source, what they have read is missing in it. */
  const begun = new WeakSet<Lane>();
  const fedBy = (lane: Lane): Counting | undefined => (counting?.sources.get(lane.number)?.view === lane ? counting : undefined);
  return {
    get inputs() {
      return counting?.inputs ?? [];
    },
    async begin(epoch) {
      beginning = new AbortController();
      const { signal } = beginning;
      const opened = await openPersistently(core, epoch, signal);
      if (opened === undefined || signal.aborted) return;
      counting = opened;
      opened.reading = readInputs(core, opened.accounting, { inputs: opened.inputs, signal: opened.stopping.signal });
      opened.reading.catch(crash);
      // Lanes of our own that wait for this begin in the same turn, and feed the count themselves.
      core.deps.clock.after(0, () => counting === opened && followMissing(core, opened, begun));
    },
    async end() {
      beginning.abort();
      const ended = counting;
      counting = undefined;
      ended?.stopping.abort();
      for (const { is, view } of ended?.sources.values() ?? []) if (is === 'followed') view.stop();
      await ended?.reading;
    },
    startLane(lane, position) {
      begun.add(lane);
      if (counting === undefined) return;
      const source = counting.sources.get(lane.number);
      if (source?.is === 'followed') source.view.stop();
      counting.sources.set(lane.number, { is: 'own', view: lane });
      counting.accounting.startLane(lane.number, position);
    },
    onLane: (lane, record, change) => fedBy(lane)?.accounting.applyLane(lane.number, record, change),
    endLane(lane) {
      const source = counting?.sources.get(lane.number);
      if (counting !== undefined && (source === undefined || source.view === lane)) follow(core, counting, lane.number);
    },
    async keep() {
      if (counting !== undefined) await keepCount(core, counting);
      else learned = (await loadCheckpoint(blobs, logger)).checkpoint;
    },
    report: () => (counting === undefined ? undefined : report(core, counting)),
    lanePosition: (lane) => (counting?.saved ?? learned)?.lanes[lane]?.position ?? 0,
    views: () => (counting === undefined ? undefined : viewsOf(core, counting)),
  };
}
