import type { BlobStore } from '@angarium/blob';
import type { Log } from '@angarium/log';
import type { Directory } from '@angarium/rpc';
import type { Clock, Config, Logger, Metrics, TlsSource, Tracing } from '@angarium/runtime';

export interface IngressDeps {
  readonly config: Config;
  readonly clock: Clock;
  /** Uniform in [0, 1), unpredictable: queue ids are made of it. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly tls: TlsSource;
  readonly log: Log;
  readonly blobs: BlobStore;
  readonly directory: Directory;
  /** Version of the lane table that accepted messages are stamped with. */
  readonly laneTableVersion: () => number;
}

export const LISTENERS = ['mx', 'submission', 'submissions'] as const;
export type Listener = (typeof LISTENERS)[number];
