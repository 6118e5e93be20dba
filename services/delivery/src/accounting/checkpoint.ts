import type { BlobStore } from '@angarium/blob';
import type { AccountingCheckpoint } from '@angarium/lanes';
import type { Logger } from '@angarium/runtime';
import { reasonOf } from '../pause.ts';

const KEY = 'accounting/checkpoint';
const VERSION = 1;

/** Undefined: there is none that can be read; the count then starts anew with what is in the log. */
export async function loadCheckpoint(blobs: BlobStore, logger: Logger): Promise<AccountingCheckpoint | undefined> {
  const octets = await blobs.get(KEY);
  if (octets === undefined) return undefined;
  try {
    const { version, checkpoint } = JSON.parse(Buffer.from(octets).toString()) as { version?: number; checkpoint: AccountingCheckpoint };
    if (version === VERSION) return checkpoint;
    throw new Error(`version ${version}`);
  } catch (error) {
    logger.error({ key: KEY, reason: reasonOf(error) }, 'delivery.accounting.checkpoint_unreadable');
    return undefined;
  }
}

/** Durable when it resolves, which is at once where nothing has changed since `saved`. */
export async function saveCheckpoint(
  blobs: BlobStore,
  checkpoint: AccountingCheckpoint,
  saved: AccountingCheckpoint | undefined,
): Promise<AccountingCheckpoint> {
  const text = JSON.stringify(checkpoint);
  if (saved !== undefined && JSON.stringify(saved) === text) return saved;
  await blobs.put(KEY, Buffer.from(`{"version":${VERSION},"checkpoint":${text}}`));
  return JSON.parse(text) as AccountingCheckpoint;
}
