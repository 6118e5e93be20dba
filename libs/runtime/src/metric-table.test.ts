import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MetricTable, metricsReference, registerGauges, registerMeters } from './metric-table.ts';
import { createMetrics } from './metrics.ts';

const METERS = {
  taken: { kind: 'counter', name: 'angarium_test_taken_total', help: 'Taken.', labels: { way: ['in', 'out'] } },
  seconds: { kind: 'histogram', name: 'angarium_test_seconds', help: 'Time.', buckets: [1, 2] },
  granted: { kind: 'gauge', name: 'angarium_test_granted', help: 'Granted.', labels: { limit: [] } },
} as const satisfies MetricTable;
const GAUGES = { open: { kind: 'gauge', name: 'angarium_test_open', help: 'Open now.' } } as const satisfies MetricTable;

test('the meters of a table count, measure and are set under its names', async () => {
  const metrics = createMetrics({ withProcess: false });
  const meters = registerMeters(metrics, METERS);
  meters.taken.inc({ way: 'in' });
  meters.seconds.observe(1.5);
  registerGauges(metrics, GAUGES, { open: () => 7 });
  const { text } = await metrics.scrape();
  assert.match(text, /^angarium_test_taken_total\{way="in"\} 1$/m);
  assert.match(text, /^angarium_test_seconds_bucket\{le="2"\} 1$/m);
  assert.match(text, /^angarium_test_open 7$/m);
});

test('the reference page has a row for each metric of the tables and of the process', () => {
  const page = metricsReference({ Test: [METERS, GAUGES] });
  assert.match(page, /^\| `angarium_test_taken_total` \| counter \| `way`: in, out \| Taken\. \|$/m);
  assert.match(page, /^\| `angarium_test_granted` \| gauge \| `limit` \| Granted\. \|$/m);
  assert.match(page, /^\| `angarium_test_open` \| gauge \| {2}\| Open now\. \|$/m);
  assert.match(page, /^\| `nodejs_eventloop_lag_p99_seconds` \|/m);
});
