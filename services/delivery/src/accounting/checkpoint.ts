import type { BlobStore } from '@angarium/blob';
import type { AccountingCheckpoint } from '@angarium/lanes';
import type { Logger } from '@angarium/runtime';
import { reasonOf } from '../pause.ts';

/**
 * A count belongs to an epoch of lane 0, and so does its blob: whoever lost the lane and does not know yet writes where
 * nobody looks any more.
 */
const PREFIX = 'accounting/checkpoint';
const VERSION = 1;

const keyOf = (epoch: number): string => `${PREFIX}.${epoch}`;
/** That of releases without leases is older than all others. */
const epochOf = (key: string): number => (key === PREFIX ? 0 : Number(/^\.(\d+)$/.exec(key.slice(PREFIX.length))?.[1] ?? -1));

export interface FoundCheckpoint {
  /** Of the newest blob, whether it can be read or not; 0: there is none, or one of a release without leases. */
  readonly epoch: number;
  /** Undefined: the count starts anew with what is in the log. */
  readonly checkpoint: AccountingCheckpoint | undefined;
}

async function read(blobs: BlobStore, logger: Logger, key: string): Promise<AccountingCheckpoint | undefined> {
  const octets = await blobs.get(key);
  if (octets === undefined) return undefined;
  try {
    const { version, checkpoint } = JSON.parse(Buffer.from(octets).toString()) as { version?: number; checkpoint: AccountingCheckpoint };
    if (version === VERSION) return checkpoint;
    throw new Error(`version ${version}`);
  } catch (error) {
    logger.error({ key, reason: reasonOf(error) }, 'delivery.accounting.checkpoint_unreadable');
    return undefined;
  }
}

async function keysOf(blobs: BlobStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of blobs.list(PREFIX)) if (epochOf(key) >= 0) keys.push(key);
  return keys.sort((one, other) => epochOf(other) - epochOf(one));
}

export async function loadCheckpoint(blobs: BlobStore, logger: Logger): Promise<FoundCheckpoint> {
  const [key] = await keysOf(blobs);
  return key === undefined ? { epoch: 0, checkpoint: undefined } : { epoch: epochOf(key), checkpoint: await read(blobs, logger, key) };
}

/** Those that nobody looks at any more. */
export async function dropOlder(blobs: BlobStore, epoch: number): Promise<void> {
  for (const key of await keysOf(blobs)) if (epochOf(key) < epoch) await blobs.delete(key);
}

/** Durable when it resolves, which is at once where nothing has changed since `saved`. */
export async function saveCheckpoint(
  blobs: BlobStore,
  o: { readonly epoch: number; readonly checkpoint: AccountingCheckpoint; readonly saved: AccountingCheckpoint | undefined },
): Promise<AccountingCheckpoint> {
  const text = JSON.stringify(o.checkpoint);
  if (o.saved !== undefined && JSON.stringify(o.saved) === text) return o.saved;
  await blobs.put(keyOf(o.epoch), Buffer.from(`{"version":${VERSION},"checkpoint":${text}}`));
  return JSON.parse(text) as AccountingCheckpoint;
}
