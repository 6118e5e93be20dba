import { type Change, createLaneFold, type LaneFold, type LaneRecord, UnreadableRecord } from '@angarium/lanes';
import { type LogRecord, OffsetGap } from '@angarium/log';
import { decodeRecord, type Kind } from '@angarium/records';
import type { DeliveryDeps } from '../deps.ts';
import { createAwaiting } from '../log/awaiting.ts';
import { followRecords } from '../log/following.ts';
import { backoffMs, crash, pause, reasonOf } from '../pause.ts';

/** A lane that somebody else owns, read and folded for the count. */
export interface Follower {
  readonly number: number;
  readonly fold: LaneFold;
  /** Resolves once the fold has seen the record at this offset; rejects when it never will. */
  readTo(offset: number): Promise<void>;
  stop(): void;
}

export interface FollowerHooks {
  /** Reading begins at this offset; also when it begins anew. */
  readonly onStart: (lane: number, position: number) => void;
  readonly onRecord: (lane: number, record: LaneRecord<Kind>, change: Change) => void;
}

interface Following {
  readonly follower: { -readonly [K in keyof Follower]: Follower[K] };
  readonly deps: DeliveryDeps;
  readonly hooks: FollowerHooks;
  readonly signal: AbortSignal;
}

function apply({ follower, hooks }: Following, raw: LogRecord): void {
  const decoded = decodeRecord(raw.value);
  if (decoded.is === 'unknown' && !decoded.critical) {
    follower.fold.pass(raw.offset);
    return;
  }
  if (decoded.is !== 'known') throw new UnreadableRecord(follower.number, raw.offset, 'cannot be read by this release');
  const record = { offset: raw.offset, appendedAtMs: raw.appendedAtMs, octets: raw.value.length, kind: decoded.kind };
  hooks.onRecord(follower.number, record, follower.fold.apply(record));
}

/** Follows from the low mark. Rejects when the lane's owner has trimmed what was not read yet, or a record cannot be read. */
async function followFromLow(following: Following, reached: (position: number) => void): Promise<void> {
  const { follower, deps, hooks, signal } = following;
  const at = { topic: 'mail.lane', partition: follower.number } as const;
  const { low: from } = await deps.log.marks(at.topic, at.partition);
  if (signal.aborted) return;
  follower.fold = createLaneFold({ lane: follower.number, incarnation: deps.log.incarnation });
  hooks.onStart(follower.number, from);
  let trouble: unknown;
  const applyAll = (records: readonly LogRecord[]) => {
    for (const record of records) if (!signal.aborted) apply(following, record);
    reached(follower.fold.position);
  };
  const onTrouble = (error: unknown) => {
    trouble = error instanceof OffsetGap || error instanceof UnreadableRecord ? error : undefined;
    return trouble === undefined;
  };
  await followRecords(deps, { ...at, from, signal, apply: applyAll, onTrouble });
  if (trouble !== undefined) throw trouble;
}

/** Reads a lane beside its owner. From a new low mark the fold is the same, so it begins anew where it was overtaken. */
export function followLane(number: number, deps: DeliveryDeps, hooks: FollowerHooks): Follower {
  const stopping = new AbortController();
  const { signal } = stopping;
  const awaiting = createAwaiting();
  const follower: Following['follower'] = {
    number,
    fold: createLaneFold({ lane: number, incarnation: deps.log.incarnation }),
    readTo: (offset) => awaiting.until(offset),
    stop() {
      stopping.abort();
      awaiting.fail(new Error(`lane ${number} is followed no more`));
    },
  };
  const follow = async (): Promise<void> => {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        return await followFromLow({ follower, deps, hooks, signal }, awaiting.reached);
      } catch (error) {
        if (error instanceof OffsetGap) deps.logger.info({ lane: number }, 'delivery.accounting.lane_trimmed');
        else deps.logger.error({ lane: number, reason: reasonOf(error) }, 'delivery.accounting.lane_unread');
        if (error instanceof UnreadableRecord) {
          awaiting.fail(error);
          return;
        }
      }
      await pause(deps.clock, backoffMs(failures, deps.config.delivery.appendMaxRetryMs), signal);
    }
  };
  follow().catch(crash);
  return follower;
}
