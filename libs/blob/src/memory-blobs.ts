import { checkKey } from './key.ts';
import { type BlobStore, piecesOf } from './port.ts';

/** Blobs of tests and of the simulation. */
export function createMemoryBlobs(options: { readonly nowMs?: () => number } = {}): BlobStore {
  const { nowMs = () => 0 } = options;
  const blobs = new Map<string, { readonly body: Uint8Array; readonly storedAtMs: number }>();
  return {
    put: async (key, body) => {
      checkKey(key);
      blobs.set(key, { body: Buffer.concat(piecesOf(body)), storedAtMs: nowMs() });
    },
    get: async (key) => {
      checkKey(key);
      return blobs.get(key)?.body;
    },
    delete: async (key) => {
      checkKey(key);
      blobs.delete(key);
    },
    async *list(prefix) {
      for (const [key, { body, storedAtMs }] of [...blobs]) if (key.startsWith(prefix)) yield { key, octets: body.length, storedAtMs };
    },
  };
}
