import { createDelivery, createSmtpTransport } from '@angarium/delivery';
import { createIngress } from '@angarium/ingress';
import { createRouting } from '@angarium/routing';
import { connectMailbox, type Directory, type DirectoryAdmin, type Mailbox, type RpcServices, serveRpc } from '@angarium/rpc';
import { type Service, serveHealth } from '@angarium/runtime';
import { controlAddress } from '../command/control.ts';
import { measuredClient, measuredServices } from '../measures/rpc.ts';
import { openBlobs } from './blobs.ts';
import { openLaneTables } from './control.ts';
import { sharedDirectory } from './database.ts';
import type { Base } from './deps.ts';
import { openLog } from './log.ts';
import { folderName } from './owner.ts';
import type { Parts } from './shutdown.ts';
import { startMailbox } from './store.ts';

export interface Running {
  readonly directory: Directory;
  readonly admin: DirectoryAdmin;
  /** "host:port" by listener. */
  readonly addresses: Readonly<Record<'mx' | 'submission' | 'submissions' | 'pop3' | 'pop3s', readonly string[]>>;
  readonly services: readonly { notReady: NotReady }[];
}

type NotReady = () => readonly string[];

/** Messages of the control interface and its clients are answered within this, or given up. */
const MAILBOX_TIMEOUT_MS = 60_000;

/** The mailbox of this process, or the one on its own that the configuration names. */
async function mailboxFor(base: Base, directory: Directory, parts: Parts) {
  const { mailboxAt } = base.config;
  if (mailboxAt === '') return startMailbox(base, directory, parts);
  const client = await connectMailbox({ address: mailboxAt, tls: base.rpcTls, timeoutMs: MAILBOX_TIMEOUT_MS });
  parts.add('mailbox client', async () => client.close());
  return { mailbox: measuredClient<Mailbox>(base.metrics, 'mailbox', client), addresses: { pop3: [], pop3s: [] }, notReady: () => [] };
}

export async function serve(base: Base, address: string, given: RpcServices, parts: Parts): Promise<void> {
  const { config, logger, metrics } = base;
  const services = measuredServices(metrics, given);
  const onFault = (error: unknown) => logger.error({ address, reason: String(error) }, 'rpc.call.failed');
  const isLocal = address.startsWith('unix:');
  const { maxConnectionAgeMs, reflection } = config.rpc;
  const server = await serveRpc({
    ...{ address, services, onFault },
    isReady: () => !parts.isStopping() && parts.notReady().length === 0,
    ...(isLocal ? {} : { tls: base.rpcTls, maxConnectionAgeMs, withReflection: reflection }),
  });
  parts.add(`rpc ${address}`, () => server.close());
}

/** Of "host:port"; an IPv6 host stays in its brackets. */
export function hostAndPort(address: string): { readonly host: string; readonly port: number } {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  return { host, port: Number(port) };
}

export interface Health {
  /** "host:port" of /metrics, /livez and /readyz. */
  readonly address: string;
  /** What the process has started: it is ready when none of them has a reason against it. */
  started(...services: readonly { notReady: NotReady }[]): void;
}

/**
 * Serves health before anything else and until everything else has stopped: a process that waits for its log, or drains, is
 * alive and not ready.
 */
export async function startHealth({ config, metrics }: Base, parts: Parts): Promise<Health> {
  const { host, port } = hostAndPort(config.metrics.listen);
  const notReady = () => (parts.isStopping() ? ['the process is stopping'] : parts.notReady());
  const health = await serveHealth({ host: host.replace(/^\[|\]$/g, ''), port, metrics, notReady });
  parts.add('health', () => health.close());
  return {
    address: `${host}:${health.port}`,
    started: (...all) => {
      parts.notReady = () => all.flatMap((service) => service.notReady());
    },
  };
}

/**
 * Opens log and stores and starts the services, the ones that others need first. What was started is in `parts`, also
 * when a later part fails.
 */
export async function startAll(base: Base, parts: Parts): Promise<Running> {
  const { config } = base;
  const log = await openLog(base);
  parts.add('log', () => log.close());
  const owner = { use: 'queue', name: await folderName(config.dataFolder) } as const;
  const opened = await openBlobs(base, parts, { folder: `${config.dataFolder}/blobs`, isShared: false, owner });
  const { blobs } = opened;
  const tables = await openLaneTables(log, config);
  parts.add('lane tables', () => tables.close());

  const routing = createRouting({
    ...base,
    ...{ log, blobs, laneTable: tables.byVersion, sharedDirectory: sharedDirectory(base.config) },
  });
  await routing.start();
  parts.add('routing', () => routing.stop());
  const { directory, admin } = routing;
  const store = await mailboxFor(base, directory, parts);
  const delivery = createDelivery({
    ...base,
    log,
    blobs,
    mailbox: store.mailbox,
    transports: [createSmtpTransport({ ...base, directory })],
    ownerName: config.hostname,
  });
  // They drain at the same time: neither has to wait for the clients or hosts of the other.
  const draining: Service[] = [];
  parts.add('ingress and delivery', async () => {
    await Promise.all(draining.map((service) => service.stop()));
  });
  await delivery.start();
  draining.push(delivery);
  await serve(base, controlAddress(config), { directory, directoryAdmin: admin, queue: delivery.queue }, parts);
  if (config.directoryListen !== '') await serve(base, config.directoryListen, { directory }, parts);
  const ingress = createIngress({ ...base, log, blobs, directory, laneTableVersion: tables.newestVersion });
  await ingress.start();
  draining.push(ingress);

  const addresses = { ...ingress.addresses, ...store.addresses };
  return { directory, admin, addresses, services: [opened, routing, store, delivery, ingress] };
}
