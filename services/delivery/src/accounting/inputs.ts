import type { Accounting } from '@angarium/lanes';
import { type LogRecord, OffsetGap, type TopicName } from '@angarium/log';
import { decodeRecord } from '@angarium/records';
import type { Core } from '../core.ts';
import { createProgress, type LaneProgress } from '../lane/progress.ts';
import { followRecords } from '../log/following.ts';
import { reasonOf } from '../pause.ts';

/** A partition of an input topic, for counting and trimming. */
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

const INPUT_TOPICS = ['mail.in', 'mail.in.bulk'] as const satisfies readonly TopicName[];
const DEAD = 'mail.dead';

const partitionsOf = (core: Core, topic: TopicName): readonly number[] =>
  Array.from({ length: core.deps.log.partitions(topic) }, (_, index) => index);

export const createInputs = (core: Core): readonly InputPartition[] =>
  INPUT_TOPICS.flatMap((topic) =>
    partitionsOf(core, topic).map((partition) => ({
      ...{ topic, partition, progress: createProgress(), committed: 0, counted: 0 },
      firstDead: Number.POSITIVE_INFINITY,
    })),
  );

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
export async function readInputs(
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
