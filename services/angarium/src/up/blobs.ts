import { type BlobStore, BlobStoreRefused, openFileBlobs, openS3Blobs, type S3BlobsOptions } from '@angarium/blob';
import type { Config } from '@angarium/runtime';
import { heldByBackups } from './deletion-hold.ts';
import type { Base } from './deps.ts';
import { claimStore, type Owner } from './owner.ts';
import type { Parts } from './shutdown.ts';

export interface OpenedBlobs {
  readonly blobs: BlobStore;
  /** Where the store does not let us in: no mail is to be accepted then. */
  notReady(): readonly string[];
}

interface Place {
  /** Where the engine keeps files. */
  readonly folder: string;
  readonly isShared: boolean;
  /** Who alone may use a bucket or a shared folder. */
  readonly owner: Owner;
}

const CALLS = ['put', 'get', 'delete', 'list'] as const;
/** How often the bucket is looked at, at least, while there is trouble with it. */
const CHECK_AGAIN_MS = 5_000;

/** The store with its calls counted. */
function measured(blobs: BlobStore, { metrics }: Base): BlobStore {
  const labels = { call: CALLS };
  const seconds = metrics.histogram({
    name: 'angarium_blob_call_seconds',
    help: 'Time of a call to the store of large contents, its repeats included. Listings are not in it.',
    labels,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  });
  const failures = metrics.counter({
    name: 'angarium_blob_failures_total',
    help: 'Calls to the store of large contents that failed.',
    labels,
  });
  const timed = async <T>(call: (typeof CALLS)[number], running: Promise<T>): Promise<T> => {
    const startMs = performance.now();
    try {
      return await running;
    } catch (error) {
      failures.inc({ call });
      throw error;
    } finally {
      seconds.observe((performance.now() - startMs) / 1000, { call });
    }
  };
  return {
    put: (key, body) => timed('put', blobs.put(key, body)),
    get: (key) => timed('get', blobs.get(key)),
    delete: (key) => timed('delete', blobs.delete(key)),
    async *list(prefix) {
      try {
        yield* blobs.list(prefix);
      } catch (error) {
        failures.inc({ call: 'list' });
        throw error;
      }
    },
  };
}

function s3Options({ blobs: { s3 } }: Config): S3BlobsOptions {
  return { ...s3, pathStyle: s3.pathStyle ?? s3.endpoint !== '' };
}

/** @throws BlobStoreRefused when the bucket or the credentials are missing, or the bucket has another owner */
async function openBucket(base: Base, parts: Parts, owner: Owner): Promise<OpenedBlobs> {
  const { config, clock, logger, metrics } = base;
  const repeats = metrics.counter({
    name: 'angarium_blob_repeats_total',
    help: 'Calls to the S3 server that failed for a passing reason and were repeated.',
    labels: { call: CALLS },
  });
  const blobs = await openS3Blobs({
    ...s3Options(config),
    onRepeat: (call, reason) => {
      repeats.inc({ call });
      logger.debug({ call, reason }, 'blob.call.repeated');
    },
  });
  let problem = 'blobs: the bucket has not answered yet';
  let callOff = () => {};
  parts.add('blobs', async () => {
    callOff();
    blobs.close();
  });
  /** Gives what went wrong. */
  const check = async (): Promise<unknown> => {
    let failure: unknown;
    try {
      await blobs.check();
      await claimStore(blobs, owner);
      problem = '';
    } catch (error) {
      failure = error;
      // Where the server does not answer now, mail that needs it is deferred, and taken as soon as it does.
      if (error instanceof BlobStoreRefused) problem = `blobs: ${error.message}`;
      logger.warn({ reason: String(error) }, 'blob.store.unchecked');
    }
    const { checkMs } = config.blobs.s3;
    callOff = clock.after(failure === undefined ? checkMs : Math.min(checkMs, CHECK_AGAIN_MS), () => void check());
    return failure;
  };
  const failure = await check();
  if (failure instanceof BlobStoreRefused) throw failure;
  return { blobs, notReady: () => (problem === '' ? [] : [problem]) };
}

async function openFolder({ folder, isShared, owner }: Place): Promise<OpenedBlobs> {
  const blobs = await openFileBlobs({ folder, isShared });
  if (isShared) await claimStore(blobs, owner);
  return { blobs, notReady: () => [] };
}

/**
 * The store of large contents that the configuration names: the folder, or a bucket.
 *
 * @throws BlobStoreRefused when the bucket is missing, its server does not let us in, or it has another owner; says what to do
 */
export async function openBlobs(base: Base, parts: Parts, place: Place): Promise<OpenedBlobs> {
  if (base.config.blobs.engine === 's3') {
    const opened = await openBucket(base, parts, place.owner);
    return { ...opened, blobs: measured(opened.blobs, base) };
  }
  const opened = await openFolder(place);
  const { dataFolder } = base.config;
  return { ...opened, blobs: heldByBackups(measured(opened.blobs, base), { dataFolder, clock: base.clock }) };
}
