import type { Config } from '@angarium/runtime';
import { createBase } from './deps.ts';
import { firstAccount, firstCommands } from './first-account.ts';
import { openFolder } from './format.ts';
import { createParts, runUntilSignal } from './shutdown.ts';
import { startAll, startHealth } from './start.ts';

/**
 * `angarium up`: all services in this process over the embedded log. Resolves after SIGTERM or SIGINT and an orderly
 * stop.
 *
 * @throws when the data folder, the log or a listener cannot be opened; what was started is stopped
 */
export async function runAll(config: Config, write: (text: string) => void): Promise<void> {
  const lock = await openFolder(config.dataFolder);
  const base = await createBase(config, 'angarium');
  const parts = createParts(base.logger);
  parts.add('data folder', () => lock.release());
  parts.add('certificate', async () => base.tls.close());
  parts.add('tracing', () => base.tracing.close());
  try {
    const health = await startHealth(base, parts);
    const { directory, admin, addresses, services } = await startAll(base, parts);
    const account = await firstAccount(config, directory, admin);
    const [submission] = addresses.submission;
    const [pop3s] = addresses.pop3s;
    if (account && submission && pop3s) write(firstCommands(account, submission, pop3s));
    health.started(...services);
    base.logger.info({ ...addresses, metrics: health.address, pid: process.pid }, 'process.ready');
  } catch (error) {
    await parts.stop();
    throw error;
  }
  await runUntilSignal(parts, base.logger, config.stopMs);
}
