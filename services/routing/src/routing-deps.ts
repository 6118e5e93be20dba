import type { BlobStore } from '@angarium/blob';
import type { OpenDirectory } from '@angarium/directory';
import type { Log } from '@angarium/log';
import type { LaneTable } from '@angarium/records';
import type { Clock, Config, Logger, Metrics } from '@angarium/runtime';
import type { RoutedTopic } from './places.ts';

export interface RoutingDeps {
  readonly config: Config;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** `freeShare`: share of the disk that is free, where the log has one. */
  readonly log: Log & { freeShare?(): number };
  readonly blobs: BlobStore;
  /** Table by the version that ingress stamped; `undefined`: not known yet, routing waits for it. */
  readonly laneTable: (version: number) => LaneTable | undefined;
  /** Left out: `directory.sqlite` in the data folder, opened at start and closed at stop. */
  readonly directory?: OpenDirectory;
  /** Lowest offset that a projection of these topics still needs; left out: none needs what was routed 5 minutes ago. */
  readonly keepFrom?: (topic: RoutedTopic, partition: number) => number;
}
