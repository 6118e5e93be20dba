import type { Logger } from '@angarium/runtime';

/** What was started, to be stopped in the opposite order. */
export interface Parts {
  add(name: string, stop: () => Promise<void>): void;
  /** From the moment `stop` is called. */
  isStopping(): boolean;
  /** What keeps the process from being ready, in words. */
  notReady: () => readonly string[];
  /** Stops every part, the last one started first; one that fails does not keep the others running. */
  stop(): Promise<void>;
}

export function createParts(logger: Logger): Parts {
  let isStopping = false;
  const started: { readonly name: string; readonly stop: () => Promise<void> }[] = [];
  return {
    notReady: () => ['the process is starting'],
    add: (name, stop) => {
      started.push({ name, stop });
    },
    isStopping: () => isStopping,
    stop: async () => {
      isStopping = true;
      for (const { name, stop } of started.splice(0).toReversed()) {
        try {
          await stop();
        } catch (error) {
          logger.error({ part: name, reason: String(error) }, 'process.part.stop_failed');
          process.exitCode = 1;
        }
      }
    },
  };
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Waits for SIGTERM or SIGINT, then stops the parts: the process then ends with 0 when all stopped within `stopMs`, else with 1;
 * the log replays whatever was cut off. A second signal ends it at once.
 */
export async function runUntilSignal(parts: Parts, logger: Logger, stopMs: number): Promise<void> {
  // Signal handlers do not keep the event loop alive by themselves.
  const alive = setInterval(() => {}, 2 ** 30);
  const signal = await new Promise<string>((resolve) => {
    for (const name of SIGNALS) process.once(name, () => resolve(name));
  });
  for (const name of SIGNALS) process.once(name, () => process.exit(1));
  logger.info({ signal }, 'process.stopping');
  const late = setTimeout(() => process.exit(1), stopMs);
  await parts.stop();
  clearTimeout(late);
  clearInterval(alive);
  for (const name of SIGNALS) process.removeAllListeners(name);
  logger.info({}, 'process.stopped');
}
