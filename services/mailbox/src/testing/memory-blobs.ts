import { type BlobEntry, type BlobStore, BlobStoreFull } from '@angarium/blob';

/** Blobs in memory that can be told to be full, to fail, or to lose. */
export interface TestBlobs extends BlobStore {
  readonly keys: () => readonly string[];
  /** Answers of the next `put`s; `works` afterwards. */
  fail(...puts: ('full' | 'error')[]): void;
}

export function createTestBlobs(nowMs: () => number): TestBlobs {
  const stored = new Map<string, { readonly body: Uint8Array; readonly storedAtMs: number }>();
  const failures: ('full' | 'error')[] = [];
  return {
    keys: () => [...stored.keys()],
    fail: (...puts) => void failures.push(...puts),
    put: async (key, body) => {
      const failure = failures.shift();
      if (failure === 'full') throw new BlobStoreFull('no room');
      if (failure === 'error') throw new Error('broken');
      stored.set(key, { body: Uint8Array.from(body), storedAtMs: nowMs() });
    },
    get: async (key) => stored.get(key)?.body,
    delete: async (key) => void stored.delete(key),
    async *list(prefix) {
      for (const [key, { body, storedAtMs }] of stored) {
        if (key.startsWith(prefix)) yield { key, octets: body.length, storedAtMs } satisfies BlobEntry;
      }
    },
  };
}
