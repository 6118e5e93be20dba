import { AppendFailed, type Log } from '@angarium/log';
import type { Clock, Logger } from '@angarium/runtime';
import { backoffMs, crash, pause, reasonOf } from '../pause.ts';

const MAX_RECORDS = 400;
const MAX_OCTETS = 900 * 1024;

export interface AppendQueueDeps {
  readonly log: Log;
  readonly lane: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxRetryMs: number;
  /** Ends the retrying; what is pending then rejects. */
  readonly signal: AbortSignal;
  /** Something got durable, or an append failed and is tried again. */
  readonly onProgress: (failed: boolean) => void;
}

/**
 * Writes records to the tail of one lane in order. One append is under way at a time and takes with it what came meanwhile. A
 * failed one is repeated until it is durable: the fold drops the second copy.
 */
export interface AppendQueue {
  /** Resolves with the offset once durable. Rejects only when the service has stopped. */
  append(value: Uint8Array): Promise<number>;
  /** Records that are not known to be durable. */
  readonly pending: number;
  /** When the oldest of them came; undefined: none. */
  readonly oldestMs: number | undefined;
  /** Records that got durable. */
  readonly appended: number;
  /** Resolves when nothing is pending. */
  idle(): Promise<void>;
}

interface Pending {
  readonly value: Uint8Array;
  readonly sinceMs: number;
  readonly resolve: (offset: number) => void;
  readonly reject: (error: unknown) => void;
}

function cutBatch(waiting: readonly Pending[]): Pending[] {
  const batch: Pending[] = [];
  let octets = 0;
  for (const one of waiting) {
    octets += one.value.length;
    if (batch.length > 0 && (batch.length === MAX_RECORDS || octets > MAX_OCTETS)) break;
    batch.push(one);
  }
  return batch;
}

export function createAppendQueue(deps: AppendQueueDeps): AppendQueue {
  const { log, lane, clock, signal } = deps;
  let waiting: Pending[] = [];
  let batch: readonly Pending[] = [];
  let running = false;
  let appended = 0;
  const onIdle: (() => void)[] = [];

  const write = async (): Promise<void> => {
    const values = batch.map(({ value }) => value);
    for (let failures = 0; ; failures++) {
      try {
        const first = await log.append('mail.lane', lane, values);
        appended += batch.length;
        for (const [index, one] of batch.entries()) one.resolve(first + index);
        return;
      } catch (error) {
        if (signal.aborted || (error instanceof AppendFailed && error.reason === 'closed')) {
          for (const one of batch) one.reject(error);
          return;
        }
        deps.logger.error({ lane, records: values.length, failures, reason: reasonOf(error) }, 'delivery.append.failed');
        deps.onProgress(true);
      }
      await pause(clock, backoffMs(failures, deps.maxRetryMs), signal);
    }
  };
  const run = async (): Promise<void> => {
    // What comes in the same turn of the event loop goes in one append.
    await undefined;
    while (waiting.length > 0) {
      batch = cutBatch(waiting);
      waiting = waiting.slice(batch.length);
      await write();
      batch = [];
      deps.onProgress(false);
    }
    running = false;
    for (const resolve of onIdle.splice(0)) resolve();
  };
  return {
    append: (value) =>
      new Promise((resolve, reject) => {
        waiting.push({ value, sinceMs: clock.nowMs(), resolve, reject });
        if (running) return;
        running = true;
        run().catch(crash);
      }),
    get pending() {
      return waiting.length + batch.length;
    },
    get oldestMs() {
      return (batch[0] ?? waiting[0])?.sinceMs;
    },
    get appended() {
      return appended;
    },
    idle: () => (running ? new Promise((resolve) => void onIdle.push(resolve)) : Promise.resolve()),
  };
}
