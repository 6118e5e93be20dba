import { open, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from '@angarium/blob';
import type { Clock } from '@angarium/runtime';

/*
 * A backup copies the log first and the contents that it names afterwards. As long as it runs, a file in the data folder keeps
 * the running process from deleting contents; what it leaves lying is found by the sweepers later. A deletion that had looked
 * before the file was there was of a message that was finished before the log was copied.
 */

const FILE = 'lock-backup';
/** A hold that was not renewed for so long is no hold: its backup died. */
const HOLD_MS = 60_000;
const RENEW_EVERY_MS = 5_000;

/** Whether a backup keeps contents from being deleted. */
async function isHeld(dataFolder: string, nowMs: number): Promise<boolean> {
  try {
    return Math.abs(nowMs - (await stat(join(dataFolder, FILE))).mtimeMs) < HOLD_MS;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** The store, whose deletions do nothing while a backup of the data folder runs. */
export function heldByBackups(blobs: BlobStore, { dataFolder, clock }: { readonly dataFolder: string; readonly clock: Clock }): BlobStore {
  return {
    put: (key, body) => blobs.put(key, body),
    get: (key) => blobs.get(key),
    list: (prefix) => blobs.list(prefix),
    delete: async (key) => {
      if (!(await isHeld(dataFolder, clock.nowMs()))) await blobs.delete(key);
    },
  };
}

export interface DeletionHold {
  /** @throws when the hold may have ended meanwhile */
  check(): void;
  release(): Promise<void>;
}

/** Another backup of the folder runs. */
export class HeldAlready extends Error {
  override readonly name = 'HeldAlready';
}

/** @throws HeldAlready */
export async function holdDeletions(dataFolder: string): Promise<DeletionHold> {
  const file = join(dataFolder, FILE);
  if (await isHeld(dataFolder, Date.now())) throw new HeldAlready(`another backup of ${dataFolder} runs: ${file}`);
  await rm(file, { force: true });
  await (await open(file, 'wx', 0o600)).close();
  let renewedMs = performance.now();
  let failure: unknown;
  const renew = async () => {
    const startedMs = performance.now();
    await utimes(file, new Date(), new Date());
    check();
    renewedMs = startedMs;
  };
  const check = () => {
    const agoMs = performance.now() - renewedMs;
    if (agoMs > HOLD_MS / 2) failure ??= new Error(`the hold on deletions was not renewed for ${Math.round(agoMs)} ms`);
    if (failure !== undefined) throw failure;
  };
  const timer = setInterval(() => {
    void renew().catch((error: unknown) => {
      failure ??= error;
    });
  }, RENEW_EVERY_MS);
  return {
    check,
    release: async () => {
      clearInterval(timer);
      await rm(file, { force: true });
    },
  };
}
