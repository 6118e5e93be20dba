import { setTimeout as pause } from 'node:timers/promises';
import { checkTopics, type Log, openKafkaLog } from '@angarium/log';
import { incarnationOf, kafkaOptions } from '../command/topics.ts';
import { createLogMeters } from '../measures/log.ts';
import type { Base } from './deps.ts';
import { repeat } from './repeat.ts';
import type { Parts } from './shutdown.ts';

/** How often the topics are compared with the promise of the configuration. */
const CHECK_EVERY_MS = 60_000;

export interface ClusterLog {
  readonly log: Log;
  /** Where the topics do not keep what the configuration promises: no mail is to be accepted then. */
  notReady(): readonly string[];
}

/** How often a process that starts tries the brokers again. */
const OPEN_AGAIN_MS = 2000;

/** Opens the log, and tries again for `kafka.startTimeoutMs` while no broker answers or a topic is missing. */
async function openWithin({ config, logger }: Base, options: Parameters<typeof openKafkaLog>[0], parts: Parts): Promise<Log> {
  const deadlineMs = performance.now() + config.kafka.startTimeoutMs;
  for (;;) {
    try {
      return await openKafkaLog(options);
    } catch (error) {
      const isPassing = error instanceof Error && error.name === 'LogUnavailable';
      if (!isPassing || parts.isStopping() || performance.now() >= deadlineMs) throw error;
      logger.warn({ reason: error.message }, 'log.unavailable');
      await pause(OPEN_AGAIN_MS);
    }
  }
}

/**
 * The log on Kafka, which several processes share.
 *
 * @throws LogUnavailable when no broker answers or a topic is missing, for longer than `kafka.startTimeoutMs`; says what to do
 */
export async function openClusterLog(base: Base, parts: Parts): Promise<ClusterLog> {
  const { config, clock, logger, metrics } = base;
  const options = kafkaOptions(config, logger);
  const meters = createLogMeters(metrics);
  const log = meters.counted(await openWithin(base, { ...options, incarnationOf, observe: meters.observe }, parts));
  parts.add('log', () => log.close());
  let problems: readonly string[] = ['log: the topics are not checked yet'];
  const check = async (): Promise<number> => {
    try {
      const found = await checkTopics(options);
      problems = found.problems.map((problem) => `log: ${problem}`);
      for (const warning of found.warnings) logger.warn({ warning }, 'log.topics.warned');
    } catch (error) {
      // The brokers do not answer now: ingress answers 451 by itself, and is ready as soon as they do.
      logger.warn({ reason: String(error) }, 'log.topics.unchecked');
    }
    return CHECK_EVERY_MS;
  };
  repeat(clock, parts, { name: 'log check', firstMs: await check(), work: check });
  return { log, notReady: () => problems };
}
