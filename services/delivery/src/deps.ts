import type { BlobStore } from '@angarium/blob';
import type { Log } from '@angarium/log';
import type { Mailbox, Queue, Quota } from '@angarium/rpc';
import type { Clock, Config, Logger, Metrics, Tracing } from '@angarium/runtime';
import type { ConnectPeer } from './peers.ts';
import type { Transport } from './transport/port.ts';

/** Log that may know how full its disk is. */
export type SpacedLog = Log & {
  /** Free share of the disk, 0 to 1. */
  freeShare?(): number;
};

export interface ClusterDeps {
  /** Drawn at each start: two processes with one are taken for one. */
  readonly incarnation: string;
  /** Where other services reach this process over gRPC. */
  readonly address: string;
  /** A clock that never goes back. */
  readonly monotonicMs: () => number;
  /** A client of another worker; what it does not answer within a second rejects. */
  readonly connectQuota: ConnectPeer<Quota>;
  /** The same of another worker's own queue, within some seconds. */
  readonly connectQueue: ConnectPeer<Queue>;
}

export interface DeliveryDeps {
  readonly config: Config;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly log: SpacedLog;
  readonly blobs: BlobStore;
  /** The first one that carries a next hop gets it; final delivery to `mailbox` comes last. */
  readonly transports: readonly Transport[];
  readonly mailbox: Mailbox;
  /** Of this process, for the `Owner` records; lanes prefer names. */
  readonly ownerName: string;
  /** Left out: this process alone has the log, as the lock on its folder proves. */
  readonly cluster?: ClusterDeps;
}
