import type { Logger } from '@angarium/runtime';

/** A part that was started, and how it stops. */
export interface Part {
  readonly name: string;
  readonly stop: () => Promise<void>;
}

/** Longest orderly stop; the log replays whatever it cuts off. */
const STOP_WITHIN_MS = 30_000;

/**
 * Waits for SIGTERM or SIGINT, then stops the parts, the last one started first, and ends the process: 0 when all
 * stopped in time. A second signal ends it at once.
 */
export async function runUntilSignal(parts: readonly Part[], logger: Logger): Promise<void> {
  // The signal handlers do not keep the event loop alive by themselves.
  const alive = setInterval(() => {}, 2 ** 30);
  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
  });
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(1));
  logger.info({ signal }, 'process.stopping');
  const late = setTimeout(() => process.exit(1), STOP_WITHIN_MS);
  await stopAll(parts, logger);
  clearTimeout(late);
  clearInterval(alive);
  logger.info({}, 'process.stopped');
}

/** Stops every part, the last one started first; one that fails does not keep the others running. */
export async function stopAll(parts: readonly Part[], logger: Logger): Promise<void> {
  for (const { name, stop } of parts.toReversed()) {
    try {
      await stop();
    } catch (error) {
      logger.error({ part: name, reason: String(error) }, 'process.part.stop_failed');
      process.exitCode = 1;
    }
  }
}
