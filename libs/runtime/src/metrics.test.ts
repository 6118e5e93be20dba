import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createMetrics } from './metrics.ts';

const VALUES = { kind: ['good', 'bad'], way: ['in', 'out', 'round'] } as const;

test('a counter says at each scrape what was counted so far, for each combination of its labels', async () => {
  const labels = fc.record({ kind: fc.constantFrom(...VALUES.kind), way: fc.constantFrom(...VALUES.way) }, { requiredKeys: [] });
  const counts = fc.array(fc.tuple(labels, fc.integer({ min: 0, max: 3 }), fc.boolean()), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(counts, async (given) => {
      const metrics = createMetrics({ withProcess: false });
      const counter = metrics.counter({ name: 'angarium_test_a_total', help: 'A.', labels: VALUES });
      const wanted = new Map<string, number>();
      for (const [of, by, isScraped] of given) {
        counter.inc(of, by);
        const written = [of.kind && `kind="${of.kind}"`, of.way && `way="${of.way}"`].filter((one) => one !== undefined).join(',');
        const series = written === '' ? 'angarium_test_a_total' : `angarium_test_a_total{${written}}`;
        if (by > 0) wanted.set(series, (wanted.get(series) ?? 0) + by);
        if (isScraped) await metrics.scrape();
      }
      const { text } = await metrics.scrape();
      const lines = text.split('\n').filter((line) => /^angarium_test_a_total.* [^0]/.test(line));
      assert.deepEqual(
        new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))])),
        wanted,
      );
    }),
    { numRuns: 50 },
  );
});

test('a counter without labels is there before anything is counted', async () => {
  const metrics = createMetrics({ withProcess: false });
  metrics.counter({ name: 'angarium_test_a_total', help: 'A.' });
  assert.match((await metrics.scrape()).text, /^angarium_test_a_total 0$/m);
});

test('an unknown label, an unknown value and a count below zero are range errors, and are not counted', async () => {
  const metrics = createMetrics({ withProcess: false });
  const counter = metrics.counter({ name: 'angarium_test_a_total', help: 'A.', labels: { kind: ['good'] } });
  assert.throws(() => counter.inc({ kind: 'example.com' }), RangeError);
  assert.throws(() => counter.inc({ other: 'good' }), RangeError);
  assert.throws(() => counter.inc({ kind: 'good' }, -1), RangeError);
  assert.doesNotMatch((await metrics.scrape()).text, /^angarium_test_a_total.* [^0]/m);
});

test('a counter is there for each combination of its labels before anything is counted', async () => {
  const metrics = createMetrics({ withProcess: false });
  metrics.counter({ name: 'angarium_test_a_total', help: 'A.', labels: VALUES });
  assert.equal((await metrics.scrape()).text.match(/^angarium_test_a_total\{.*\} 0$/gm)?.length, 6);
});

test('a gauge that is read gives up the labels that are no longer there', async () => {
  const metrics = createMetrics({ withProcess: false });
  let lanes = ['3', '7'];
  metrics.gaugeOf({ name: 'angarium_test_epoch', help: 'E.', labels: { lane: ['3', '7'] } }, () =>
    lanes.map((lane) => [5, { lane }] as const),
  );
  assert.match((await metrics.scrape()).text, /^angarium_test_epoch\{lane="3"\} 5\nangarium_test_epoch\{lane="7"\} 5$/m);
  lanes = ['7'];
  assert.doesNotMatch((await metrics.scrape()).text, /lane="3"/);
});

test('a scrape fails, and does not grow, when a gauge reads a label that is not listed', async () => {
  const metrics = createMetrics({ withProcess: false });
  metrics.gaugeOf({ name: 'angarium_test_epoch', help: 'E.', labels: { lane: ['3'] } }, () => [[5, { lane: 'example.com' }]]);
  await assert.rejects(metrics.scrape(), RangeError);
});
