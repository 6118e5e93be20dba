import { connectDirectory, type Directory } from '@angarium/rpc';
import type { Config } from '@angarium/runtime';
import { measuredClient } from '../measures/rpc.ts';
import { createBase } from './deps.ts';
import { openFolder } from './format.ts';
import { createParts, runUntilSignal } from './shutdown.ts';
import { serve, startHealth } from './start.ts';
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
    const client = await connectDirectory({ address: config.mailbox.directory, tls: base.rpcTls, timeoutMs: DIRECTORY_TIMEOUT_MS });
    parts.add('directory client', async () => client.close());
    const directory = measuredClient<Directory>(base.metrics, 'directory', client);
    const store = await startMailbox(base, directory, parts);
    await serve(base, config.mailbox.rpcListen, { mailbox: store.mailbox }, parts);
    health.started(store);
    base.logger.info({ ...store.addresses, metrics: health.address, rpc: config.mailbox.rpcListen, pid: process.pid }, 'process.ready');
    write(`mailbox: deliveries at ${config.mailbox.rpcListen}, directory at ${config.mailbox.directory}\n`);
  } catch (error) {
    await parts.stop();
    throw error;
  }
  await runUntilSignal(parts, base.logger, config.stopMs);
}
