import { AppendFailed, type Log } from '@angarium/log';
import { type Metrics, type MetricTable, registerMeters } from '@angarium/runtime';

export const LOG_METERS = {
  batches: {
    kind: 'counter',
    name: 'angarium_log_batches_total',
    help: 'Batches made durable, each by one synchronous write or one call to a broker.',
  },
  entries: { kind: 'counter', name: 'angarium_log_entries_total', help: 'Records made durable; embedded, low marks and commits too.' },
  octets: { kind: 'counter', name: 'angarium_log_written_octets_total', help: 'Octets of durable batches.' },
  batchEntries: {
    kind: 'histogram',
    name: 'angarium_log_batch_entries',
    help: 'Records of one durable batch.',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 400, 1000],
  },
  appendSeconds: {
    kind: 'histogram',
    name: 'angarium_log_append_seconds',
    help: 'Time from the first append of a batch until the batch is durable.',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
  },
  failed: {
    kind: 'counter',
    name: 'angarium_log_appends_failed_total',
    help: 'Appends that failed, those in doubt included; at a stop too.',
    labels: { reason: ['full', 'failed', 'closed'] },
  },
  inDoubt: {
    kind: 'counter',
    name: 'angarium_log_in_doubt_total',
    help: 'Appends that failed and may be in the log all the same: readers drop a second copy.',
  },
} as const satisfies MetricTable;

interface Batch {
  readonly entries: number;
  readonly octets: number;
  readonly appendMs: number;
}

export interface LogMeters {
  /** A batch is durable. */
  readonly observe: (batch: Batch) => void;
  /** The log with its failed appends counted. */
  readonly counted: <L extends Log>(log: L) => L;
}

export function createLogMeters(metrics: Metrics): LogMeters {
  const meters = registerMeters(metrics, LOG_METERS);
  const onFailure = (error: unknown): void => {
    if (!(error instanceof AppendFailed)) return;
    meters.failed.inc({ reason: error.reason });
    if (error.inDoubt) meters.inDoubt.inc();
  };
  return {
    observe({ entries, octets, appendMs }) {
      meters.batches.inc();
      meters.entries.inc({}, entries);
      meters.octets.inc({}, octets);
      meters.batchEntries.observe(entries);
      meters.appendSeconds.observe(appendMs / 1000);
    },
    counted: (log) => ({
      ...log,
      append(topic, partition, values) {
        const appended = log.append(topic, partition, values);
        appended.catch(onFailure);
        return appended;
      },
    }),
  };
}
