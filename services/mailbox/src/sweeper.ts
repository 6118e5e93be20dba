import type { BlobStore } from '@angarium/blob';
import type { Clock, Config, Logger } from '@angarium/runtime';
import type { Meters } from './meters.ts';
import { deleteUnnamedBlobs } from './store/bodies.ts';
import type { StoreDatabase } from './store/schema.ts';
import { sweepBodies, sweepLedger } from './store/sweep.ts';

export interface SweeperDeps {
  readonly config: Config['mailbox'];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meters: Meters;
  readonly database: StoreDatabase;
  readonly blobs: BlobStore;
}

export interface Sweeper {
  start(): void;
  /** Ends after the step that runs. */
  stop(): Promise<void>;
}

/** A blob is durable before the row that names it: between the two it must not be taken for left behind. */
const BLOB_AGE_MIN_MS = 3_600_000;

/** Gives back what is not needed any more, step by step; what fails is tried again next time. */
export function createSweeper(deps: SweeperDeps): Sweeper {
  const { config, clock, database, blobs, logger } = deps;
  let isStopped = false;
  let cancel = () => {};
  let running: Promise<void> = Promise.resolve();
  let blobsAtMs = clock.nowMs() + config.blobSweepEveryMs;

  const untilDone = async (step: () => Promise<boolean>) => {
    while (!isStopped && (await step()));
  };
  const sweep = async () => {
    const nowMs = clock.nowMs();
    try {
      await untilDone(() => sweepLedger(database, nowMs - config.ledgerMs));
      await untilDone(() => sweepBodies(database, blobs, nowMs - config.sweepAfterMs));
      if (nowMs >= blobsAtMs && !isStopped) {
        blobsAtMs = nowMs + config.blobSweepEveryMs;
        const deleted = await deleteUnnamedBlobs(blobs, database, nowMs - Math.max(config.sweepAfterMs, BLOB_AGE_MIN_MS));
        if (deleted > 0) logger.info({ blobs: deleted }, 'mailbox.blobs.swept');
      }
      await measure(deps);
      deps.meters.swept('done');
    } catch (error) {
      logger.error({ reason: String(error) }, 'mailbox.sweep.failed');
      deps.meters.swept('failed');
    }
    if (!isStopped) plan(config.sweepEveryMs);
  };
  const plan = (delayMs: number) => {
    cancel = clock.after(delayMs, () => {
      running = sweep();
    });
  };
  return {
    start: () => plan(0),
    stop: async () => {
      isStopped = true;
      cancel();
      await running;
    },
  };
}

async function measure({ database, meters }: SweeperDeps): Promise<void> {
  const { messages, octets } = await database
    .selectFrom('accounts')
    .select(({ fn }) => [fn.sum<number | null>('message_count').as('messages'), fn.sum<number | null>('usage_octets').as('octets')])
    .executeTakeFirstOrThrow();
  meters.stored({ messages: messages ?? 0, octets: octets ?? 0 });
}
