import { connectDirectory, type Directory, serveRpc } from '@angarium/rpc';
import type { Config } from '@angarium/runtime';
import { measuredClient, measuredServices } from '../measures/rpc.ts';
import { createBase } from './deps.ts';
import { openFolder } from './format.ts';
import { createParts, runUntilSignal } from './shutdown.ts';
import { startHealth } from './start.ts';
import { startMailbox } from './store.ts';

const DIRECTORY_TIMEOUT_MS = 10_000;

/**
 * `angarium mailbox`: the mailbox service alone over a data folder of its own; it asks the Directory service of another
 * process and serves deliveries to it. Resolves after SIGTERM or SIGINT and an orderly stop.
 */
export async function runMailbox(config: Config, write: (text: string) => void): Promise<void> {
  const lock = await openFolder(config.dataFolder);
  const base = await createBase(config, 'mailbox');
  const parts = createParts(base.logger);
  parts.add('data folder', () => lock.release());
  parts.add('certificate', async () => base.tls.close());
  parts.add('tracing', () => base.tracing.close());
  try {
    const health = await startHealth(base, parts);
    const tls = config.rpcTls;
    const client = await connectDirectory({ address: config.mailbox.directory, tls, timeoutMs: DIRECTORY_TIMEOUT_MS });
    parts.add('directory client', async () => client.close());
    const directory = measuredClient<Directory>(base.metrics, 'directory', client);
    const store = await startMailbox(base, directory, parts);
    const onFault = (error: unknown) => base.logger.error({ reason: String(error) }, 'rpc.call.failed');
    const services = measuredServices(base.metrics, { mailbox: store.mailbox });
    const server = await serveRpc({ address: config.mailbox.rpcListen, services, onFault, tls });
    parts.add('rpc', () => server.close());
    health.started(store);
    base.logger.info({ ...store.addresses, metrics: health.address, rpc: config.mailbox.rpcListen, pid: process.pid }, 'process.ready');
    write(`mailbox: deliveries at ${config.mailbox.rpcListen}, directory at ${config.mailbox.directory}\n`);
  } catch (error) {
    await parts.stop();
    throw error;
  }
  await runUntilSignal(parts, base.logger, config.stopMs);
}
