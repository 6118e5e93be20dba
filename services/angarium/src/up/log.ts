import { type EmbeddedLog, openEmbeddedLog } from '@angarium/log';
import { createLogMeters } from '../measures/log.ts';
import type { Base } from './deps.ts';

const BULK_PARTITIONS = 2;

/** The embedded log of the data folder. */
export async function openLog({ config, clock, logger, metrics }: Base): Promise<EmbeddedLog> {
  const { journal, dataFolder } = config;
  const partitions = {
    'mail.in': journal.inPartitions,
    'mail.in.bulk': BULK_PARTITIONS,
    'mail.lane': journal.lanes,
    'mail.control': 1,
    'mail.dead': 1,
    'mail.lease': 1,
  };
  const meters = createLogMeters(metrics);
  const log = await openEmbeddedLog({
    folder: `${dataFolder}/log`,
    partitions,
    clock,
    logger,
    ...journal,
    observe: meters.observe,
  });
  return meters.counted(log);
}
