import type { BlobStore } from '@angarium/blob';
import { type Metrics, type MetricTable, registerMeters } from '@angarium/runtime';

export const BLOB_CALLS = ['put', 'get', 'delete', 'list'] as const;
type Call = (typeof BLOB_CALLS)[number];

export const BLOB_METERS = {
  seconds: {
    kind: 'histogram',
    name: 'angarium_blob_call_seconds',
    help: 'Time of a call to the store of large contents, its repeats included. Listings are not in it.',
    labels: { call: ['put', 'get', 'delete'], outcome: ['ok', 'failed'] },
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
  failures: {
    kind: 'counter',
    name: 'angarium_blob_failures_total',
    help: 'Calls to the store of large contents that failed.',
    labels: { call: BLOB_CALLS },
  },
  repeats: {
    kind: 'counter',
    name: 'angarium_blob_repeats_total',
    help: 'Calls to the S3 server that failed for a passing reason and were repeated.',
    labels: { call: BLOB_CALLS },
  },
} as const satisfies MetricTable;

export interface BlobMeters {
  repeated(call: Call): void;
  /** The store with its calls counted. */
  measured(blobs: BlobStore): BlobStore;
}

export function createBlobMeters(metrics: Metrics): BlobMeters {
  const { seconds, failures, repeats } = registerMeters(metrics, BLOB_METERS);
  const timed = async <T>(call: Exclude<Call, 'list'>, running: Promise<T>): Promise<T> => {
    const startMs = performance.now();
    let outcome: 'ok' | 'failed' = 'failed';
    try {
      const result = await running;
      outcome = 'ok';
      return result;
    } finally {
      if (outcome === 'failed') failures.inc({ call });
      seconds.observe((performance.now() - startMs) / 1000, { call, outcome });
    }
  };
  return {
    repeated: (call) => repeats.inc({ call }),
    measured: (blobs) => ({
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
    }),
  };
}
