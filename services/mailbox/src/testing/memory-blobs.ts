import { type BlobStore, BlobStoreFull, createMemoryBlobs } from '@angarium/blob';

/** Blobs in memory that can be told to be full or to fail. */
export interface TestBlobs extends BlobStore {
  readonly keys: () => readonly string[];
  /** What happens to the next `put`s; later ones work. */
  fail(...puts: ('full' | 'error')[]): void;
}

export function createTestBlobs(nowMs: () => number): TestBlobs {
  const memory = createMemoryBlobs({ nowMs });
  const keys = new Set<string>();
  const failures: ('full' | 'error')[] = [];
  return {
    ...memory,
    keys: () => [...keys],
    fail: (...puts) => void failures.push(...puts),
    put: async (key, body) => {
      const failure = failures.shift();
      if (failure === 'full') throw new BlobStoreFull('no room');
      if (failure === 'error') throw new Error('broken');
      await memory.put(key, body);
      keys.add(key);
    },
    delete: async (key) => {
      await memory.delete(key);
      keys.delete(key);
    },
  };
}
