import type { BlobStore } from '@angarium/blob';
import type { OpenDirectory, SharedDatabase } from '@angarium/directory';
import type { Log } from '@angarium/log';
import type { LaneTable } from '@angarium/records';
import type { Clock, Config, Logger, Metrics, Tracing } from '@angarium/runtime';

export interface RoutingDeps {
  readonly config: Config;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly log: Log;
  readonly blobs: BlobStore;
  /** Table by the version that ingress stamped; `undefined`: not known yet, routing waits for it. */
  readonly laneTable: (version: number) => LaneTable | undefined;
  /** Where several processes have the same directory: opened at start and closed at stop. */
  readonly sharedDirectory?: SharedDatabase | undefined;
  /** Left out: `sharedDirectory`, else `directory.sqlite` in the data folder, opened at start and closed at stop. */
  readonly directory?: OpenDirectory;
}
