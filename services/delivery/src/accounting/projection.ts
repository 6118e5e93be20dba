import {
  type Accounting,
  type AccountingCheckpoint,
  type AccountingOrigin,
  type AccountingReport,
  type Change,
  createAccounting,
  type LaneRecord,
} from '@angarium/lanes';
import { type LogRecord, OffsetGap, type TopicName } from '@angarium/log';
import { decodeRecord, type Kind } from '@angarium/records';
import type { Core } from '../core.ts';
import { createProgress, type LaneProgress } from '../lane/progress.ts';
import { followRecords } from '../log/following.ts';
import { crash, reasonOf } from '../pause.ts';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.ts';

/** The reconciler: folds input topics and lanes into the count of promise 2, and remembers how far it counted. */
export interface Projection {
  /** Finds where to go on. Before the lanes are read. */
  prepare(): Promise<void>;
  startLane(lane: number, position: number): void;
  onLane(lane: number, record: LaneRecord<Kind>, change: Change): void;
  /** Reads the input topics from now on. */
  start(): void;
  stop(): Promise<void>;
  /** Learns what routing has committed, and makes the count durable. */
  keep(): Promise<void>;
  /** Undefined while the lanes are replayed. */
  report(): AccountingReport | undefined;
  /** Records below are counted for good: nothing above may be trimmed. */
  lanePosition(lane: number): number;
  readonly inputs: readonly InputPartition[];
}

/** A partition of an input topic, for trimming. */
export interface InputPartition {
  readonly topic: TopicName;
  readonly partition: number;
  readonly progress: LaneProgress;
  /** As of the last `keep`. */
  committed: number;
  /** Counted for good below. */
  counted: number;
  /** Oldest record that `mail.dead` names. */
  firstDead: number;
}

export const INPUT_TOPICS = ['mail.in', 'mail.in.bulk'] as const satisfies readonly TopicName[];
const GROUP = 'routing';
const DEAD = 'mail.dead';

const partitionsOf = (core: Core, topic: TopicName): readonly number[] =>
  Array.from({ length: core.deps.log.partitions(topic) }, (_, index) => index);

async function laneEnds({ deps: { log } }: Core): Promise<number[]> {
  const lanes = Array.from({ length: log.partitions('mail.lane') }, (_, lane) => lane);
  return Promise.all(lanes.map(async (lane) => (await log.marks('mail.lane', lane)).high));
}

/** A first start: what was routed before is carried over. */
async function originOf(core: Core, inputs: readonly InputPartition[]): Promise<AccountingOrigin> {
  const { log } = core.deps;
  const partitions = await Promise.all(
    inputs.map(async ({ topic, partition }) => ({ topic, partition, position: await log.committed(GROUP, topic, partition) })),
  );
  return { incarnation: log.incarnation, laneEnds: await laneEnds(core), partitions };
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

function applyInput(accounting: Accounting, input: InputPartition, record: LogRecord): void {
  const { topic, partition } = input;
  const at = { topic, partition, offset: record.offset };
  const decoded = decodeRecord(record.value);
  input.progress.note({ ...record, octets: record.value.length });
  if (decoded.is === 'known' && decoded.kind.$case === 'accepted') accounting.applyAccepted(at, decoded.kind.value);
  else accounting.applyUnreadable(at);
}

function applyDead(accounting: Accounting, inputs: readonly InputPartition[], value: Uint8Array): void {
  const decoded = decodeRecord(value);
  if (decoded.is !== 'known' || decoded.kind.$case !== 'dead') return;
  const { src } = decoded.kind.value;
  accounting.applyDead(decoded.kind.value);
  const input = inputs.find(({ topic, partition }) => topic === src?.topic && partition === src.partition);
  if (input !== undefined && src !== undefined) input.firstDead = Math.min(input.firstDead, src.offset);
}

/** Follows the input topics and the dead letters into the count, until the signal aborts. */
async function readInputs(
  core: Core,
  accounting: Accounting,
  o: { readonly inputs: readonly InputPartition[]; readonly signal: AbortSignal },
): Promise<void> {
  const { deps, meters } = core;
  const { inputs, signal } = o;
  const troubleAt = (topic: TopicName, partition: number) => (error: unknown) => {
    meters.ownFaults.inc({ fault: 'accounting' });
    deps.logger.error({ topic, partition, reason: reasonOf(error) }, 'delivery.accounting.read_failed');
    return !(error instanceof OffsetGap);
  };
  const readInput = (input: InputPartition) => {
    const { topic, partition } = input;
    const from = accounting.positions.find((at) => at.topic === topic && at.partition === partition)?.position ?? 0;
    const apply = (records: readonly LogRecord[]) => {
      for (const record of records) applyInput(accounting, input, record);
    };
    return followRecords(deps, { topic, partition, from, signal, apply, onTrouble: troubleAt(topic, partition) });
  };
  const readDead = async (partition: number) => {
    const apply = (records: readonly LogRecord[]) => {
      for (const { value } of records) applyDead(accounting, inputs, value);
    };
    const { low: from } = await deps.log.marks(DEAD, partition);
    await followRecords(deps, { topic: DEAD, partition, from, signal, apply, onTrouble: troubleAt(DEAD, partition) });
  };
  await Promise.all([...inputs.map(readInput), ...partitionsOf(core, DEAD).map(readDead)]);
}

const createInput = (topic: TopicName, partition: number): InputPartition => ({
  topic,
  partition,
  progress: createProgress(),
  committed: 0,
  counted: 0,
  firstDead: Number.POSITIVE_INFINITY,
});

export function createProjection(core: Core): Projection {
  const { log, blobs, logger } = core.deps;
  const stopping = new AbortController();
  const inputs = INPUT_TOPICS.flatMap((topic) => partitionsOf(core, topic).map((partition) => createInput(topic, partition)));
  let accounting = createAccounting({ incarnation: log.incarnation, laneEnds: [], partitions: [] });
  let saved: AccountingCheckpoint | undefined;
  let reading: Promise<void> = Promise.resolve();

  const noteSaved = (checkpoint: AccountingCheckpoint) => {
    saved = checkpoint;
    for (const input of inputs) {
      const at = checkpoint.partitions.find(({ topic, partition }) => topic === input.topic && partition === input.partition);
      input.counted = at?.position ?? 0;
    }
  };
  return {
    inputs,
    async prepare() {
      const found = await loadCheckpoint(blobs, logger);
      const isOurs = found !== undefined && found.incarnation === log.incarnation;
      const start = isOurs ? widen(found, log.partitions('mail.lane'), inputs) : await originOf(core, inputs);
      accounting = createAccounting(start);
      // A new count is kept at once: a kill before the first round must not begin another one.
      noteSaved('totals' in start ? start : await saveCheckpoint(blobs, accounting.checkpoint(), undefined));
    },
    startLane: (lane, position) => accounting.startLane(lane, position),
    onLane: (lane, record, change) => accounting.applyLane(lane, record, change),
    start() {
      reading = readInputs(core, accounting, { inputs, signal: stopping.signal });
      reading.catch(crash);
    },
    async stop() {
      stopping.abort();
      await reading;
    },
    async keep() {
      for (const input of inputs) {
        const { topic, partition } = input;
        const offset = await log.committed(GROUP, topic, partition);
        accounting.committed({ topic, partition, offset }, await laneEnds(core));
        input.committed = offset;
      }
      if (accounting.isReplayed) noteSaved(await saveCheckpoint(blobs, accounting.checkpoint(), saved));
    },
    report() {
      if (!accounting.isReplayed || core.lanes.some(({ state }) => state === 'replaying')) return undefined;
      return accounting.report(core.lanes.reduce((sum, { fold }) => sum + fold.waitingRecipients, 0));
    },
    lanePosition: (lane) => saved?.lanes[lane]?.position ?? 0,
  };
}
