import { type EmbeddedLog, openEmbeddedLog } from '@angarium/log';
import type { Metrics } from '@angarium/runtime';
import type { Base } from './deps.ts';

const BULK_PARTITIONS = 2;

function createMeters(metrics: Metrics) {
  return {
    batches: metrics.counter({ name: 'angarium_log_batches_total', help: 'Batches made durable, each by one synchronous write.' }),
    entries: metrics.counter({ name: 'angarium_log_entries_total', help: 'Records, low marks and commits made durable.' }),
    octets: metrics.counter({ name: 'angarium_log_written_octets_total', help: 'Octets of durable batches.' }),
    appendSeconds: metrics.histogram({
      name: 'angarium_log_append_seconds',
      help: 'Time from the first append of a batch until the batch is durable.',
      buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    }),
  };
}

/** The embedded log of the data folder. */
export function openLog({ config, clock, logger, metrics }: Base): Promise<EmbeddedLog> {
  const { journal, dataFolder } = config;
  const partitions = {
    'mail.in': journal.inPartitions,
    'mail.in.bulk': BULK_PARTITIONS,
    'mail.lane': journal.lanes,
    'mail.control': 1,
    'mail.dead': 1,
    'mail.lease': 1,
  };
  const meters = createMeters(metrics);
  return openEmbeddedLog({
    folder: `${dataFolder}/log`,
    partitions,
    clock,
    logger,
    ...journal,
    observe: ({ entries, octets, appendMs }) => {
      meters.batches.inc();
      meters.entries.inc({}, entries);
      meters.octets.inc({}, octets);
      meters.appendSeconds.observe(appendMs / 1000);
    },
  });
}
