import { type BlobStore, BlobStoreRefused, openFileBlobs, openS3Blobs, type S3BlobsOptions } from '@angarium/blob';
import type { Config } from '@angarium/runtime';
import { type BlobMeters, createBlobMeters } from '../measures/blobs.ts';
import { heldByBackups } from './deletion-hold.ts';
import type { Base } from './deps.ts';
import { claimStore, type Owner } from './owner.ts';
import { repeat } from './repeat.ts';
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

/** How often the bucket is looked at, at least, while there is trouble with it. */
const CHECK_AGAIN_MS = 5_000;

function s3Options({ blobs: { s3 } }: Config): S3BlobsOptions {
  return { ...s3, pathStyle: s3.pathStyle ?? s3.endpoint !== '' };
}

/** @throws BlobStoreRefused when the bucket or the credentials are missing, or the bucket has another owner */
async function openBucket(base: Base, parts: Parts, o: { readonly owner: Owner; readonly meters: BlobMeters }): Promise<OpenedBlobs> {
  const { config, clock, logger } = base;
  const { owner, meters } = o;
  const blobs = await openS3Blobs({
    ...s3Options(config),
    onRepeat: (call, reason) => {
      meters.repeated(call);
      logger.debug({ call, reason }, 'blob.call.repeated');
    },
  });
  let problem = 'blobs: the bucket has not answered yet';
  let failure: unknown;
  parts.add('blobs', async () => blobs.close());
  const check = async (): Promise<number> => {
    failure = undefined;
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
    return failure === undefined ? checkMs : Math.min(checkMs, CHECK_AGAIN_MS);
  };
  const firstMs = await check();
  if (failure instanceof BlobStoreRefused) throw failure;
  repeat(clock, parts, { name: 'blob check', firstMs, work: check });
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
  const meters = createBlobMeters(base.metrics);
  if (base.config.blobs.engine === 's3') {
    const opened = await openBucket(base, parts, { owner: place.owner, meters });
    return { ...opened, blobs: meters.measured(opened.blobs) };
  }
  const opened = await openFolder(place);
  const { dataFolder } = base.config;
  return { ...opened, blobs: heldByBackups(meters.measured(opened.blobs), { dataFolder, clock: base.clock }) };
}
