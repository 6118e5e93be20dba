import type { Config } from '@angarium/runtime';
import { createBase } from './deps.ts';
import { firstAccount, firstCommands } from './first-account.ts';
import { prepareFolder } from './format.ts';
import { runUntilSignal, stopAll } from './shutdown.ts';
import { startAll } from './start.ts';

/**
 * `angarium up`: all services in this process over the embedded log. Resolves after SIGTERM or SIGINT and an orderly
 * stop.
 *
 * @throws when the data folder, the log or a listener cannot be opened; what was started is stopped
 */
export async function runAll(config: Config, write: (text: string) => void): Promise<void> {
  await prepareFolder(config.dataFolder);
  const base = await createBase(config);
  const parts: Parameters<typeof stopAll>[0][number][] = [];
  try {
    const running = await startAll(base, parts);
    const account = await firstAccount(config, running.directory, running.admin);
    base.logger.info({ ...running.addresses, pid: process.pid }, 'process.ready');
    const [submission] = running.addresses.submission;
    const [pop3s] = running.addresses.pop3s;
    if (account && submission && pop3s) write(firstCommands(account, submission, pop3s));
  } catch (error) {
    await stopAll(parts, base.logger);
    throw error;
  }
  await runUntilSignal(parts, base.logger);
}
