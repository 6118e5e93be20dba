import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { BlobStore } from '@angarium/blob';
import { createDelivery, createSmtpTransport } from '@angarium/delivery';
import { createIngress } from '@angarium/ingress';
import type { Log } from '@angarium/log';
import { createRouting } from '@angarium/routing';
import { connectDirectory, connectMailbox, connectQueue, connectQuota, type Directory, type Mailbox } from '@angarium/rpc';
import type { Config } from '@angarium/runtime';
import { controlAddress } from '../command/control.ts';
import { measuredClient } from '../measures/rpc.ts';
import { openBlobs } from './blobs.ts';
import { openClusterLog } from './cluster-log.ts';
import { type LaneTables, openLaneTables } from './control.ts';
import { sharedDirectory } from './database.ts';
import { type Base, createBase } from './deps.ts';
import { openFolder } from './format.ts';
import { createParts, type Parts, runUntilSignal } from './shutdown.ts';
import { serve, startHealth } from './start.ts';

/** Services that run as processes of their own, any number of each, over a log that they share. */
export type Role = 'ingress' | 'routing' | 'delivery';

interface Shared {
  readonly base: Base;
  readonly parts: Parts;
  readonly log: Log;
  readonly blobs: BlobStore;
  readonly tables: LaneTables;
}

interface Started {
  notReady(): readonly string[];
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
}

const DIRECTORY_TIMEOUT_MS = 10_000;
const MAILBOX_TIMEOUT_MS = 60_000;
const QUOTA_TIMEOUT_MS = 1000;
const QUEUE_TIMEOUT_MS = 5000;

async function directoryOf({ base: { config, metrics, rpcTls }, parts }: Shared): Promise<Directory> {
  const client = await connectDirectory({ address: config.directoryAt, tls: rpcTls, timeoutMs: DIRECTORY_TIMEOUT_MS });
  parts.add('directory client', async () => client.close());
  return measuredClient<Directory>(metrics, 'directory', client);
}

const ROLES: Readonly<Record<Role, (shared: Shared) => Promise<Started>>> = {
  async ingress(shared) {
    const { base, parts, log, blobs, tables } = shared;
    const ingress = createIngress({ ...base, log, blobs, directory: await directoryOf(shared), laneTableVersion: tables.newestVersion });
    await ingress.start();
    parts.add('ingress', () => ingress.stop());
    return ingress;
  },
  async routing({ base, parts, log, blobs, tables }) {
    const routing = createRouting({
      ...base,
      ...{ log, blobs, laneTable: tables.byVersion, sharedDirectory: sharedDirectory(base.config) },
    });
    await routing.start();
    parts.add('routing', () => routing.stop());
    const { directory, admin } = routing;
    await serve(base, controlAddress(base.config), { directory, directoryAdmin: admin }, parts);
    if (base.config.directoryListen !== '') await serve(base, base.config.directoryListen, { directory }, parts);
    return routing;
  },
  async delivery(shared) {
    const { base, parts, log, blobs } = shared;
    const { config } = base;
    const directory = await directoryOf(shared);
    const client = await connectMailbox({ address: config.mailboxAt, tls: base.rpcTls, timeoutMs: MAILBOX_TIMEOUT_MS });
    parts.add('mailbox client', async () => client.close());
    const mailbox = measuredClient<Mailbox>(base.metrics, 'mailbox', client);
    const transports = [createSmtpTransport({ ...base, directory })];
    const { rpcListen, rpcAddress } = config.delivery;
    // Workers ask each other for what is their own alone; whoever asks at the control interface is told of all.
    const listen = rpcListen || `unix:${resolve(config.dataFolder, 'worker.sock')}`;
    const address = rpcAddress || listen;
    const tlsFor = (at: string) => (at.startsWith('unix:') ? undefined : base.rpcTls);
    const connectQueueOf = async (at: string) =>
      measuredClient(base.metrics, 'queue', await connectQueue({ address: at, tls: tlsFor(at), timeoutMs: QUEUE_TIMEOUT_MS }));
    const connectPeer = async (at: string) => {
      const tls = tlsFor(at);
      return measuredClient(base.metrics, 'quota', await connectQuota({ address: at, tls, timeoutMs: QUOTA_TIMEOUT_MS }));
    };
    const cluster = {
      incarnation: randomUUID(),
      address,
      monotonicMs: () => performance.now(),
      connectQuota: connectPeer,
      connectQueue: connectQueueOf,
    };
    // The same at each start, and no other worker's: lanes prefer names.
    const ownerName = `${hostname()}:${resolve(config.dataFolder)}`;
    const delivery = createDelivery({ ...base, log, blobs, mailbox, transports, ownerName, cluster });
    // Others ask it from its first renewal on, and until it has given everything away.
    await serve(base, listen, { queue: delivery.ownQueue, ...(delivery.quota && { quota: delivery.quota }) }, parts);
    await serve(base, controlAddress(config), { queue: delivery.queue }, parts);
    await delivery.start();
    parts.add('delivery', () => delivery.stop());
    return delivery;
  },
};

/**
 * `angarium ingress|routing|delivery` over Kafka. Resolves after SIGTERM or SIGINT and an orderly stop.
 *
 * @throws when the data folder, the log, a peer's address or a listener cannot be opened; what was started is stopped
 */
export async function runRole(role: Role, config: Config): Promise<void> {
  const lock = await openFolder(config.dataFolder);
  const base = await createBase(config, role);
  const parts = createParts(base.logger);
  parts.add('data folder', () => lock.release());
  parts.add('certificate', async () => base.tls.close());
  parts.add('tracing', () => base.tracing.close());
  try {
    const health = await startHealth(base, parts);
    const shared = await openClusterLog(base, parts);
    const { log } = shared;
    const { blobFolder, dataFolder } = config;
    const isShared = blobFolder !== '';
    // All processes of the cluster have this owner.
    const owner = { use: 'queue', name: `topics ${config.kafka.prefix}mail.*` } as const;
    const opened = await openBlobs(base, parts, { folder: isShared ? blobFolder : `${dataFolder}/blobs`, isShared, owner });
    const { blobs } = opened;
    const tables = await openLaneTables(log, config);
    parts.add('lane tables', () => tables.close());
    const started = await ROLES[role]({ base, parts, log, blobs, tables });
    health.started(shared, opened, started);
    base.logger.info({ role, ...started.addresses, metrics: health.address, pid: process.pid }, 'process.ready');
  } catch (error) {
    await parts.stop();
    throw error;
  }
  // Its lanes are with others by then, and what was sent may still be answered.
  const graceMs = role === 'delivery' ? config.delivery.graceMs : 0;
  await runUntilSignal(parts, base.logger, config.stopMs + graceMs);
}
