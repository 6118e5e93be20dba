import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics, type MetricTable, registerMeters } from '@angarium/runtime';
import { ALL_METRICS } from './reference.ts';

const TABLES = Object.values(ALL_METRICS).flat();
const DEFINITIONS = TABLES.flatMap((table) => Object.values(table));
/** Of each, as many as a large cluster may have. */
const CONFIGURED: Readonly<Record<string, number>> = { lane: 128, limit: 20, version: 1, node: 1 };

type Definition = MetricTable[string];

/** Labels with all their values: those of the configuration are made up. */
function filled({ labels = {}, ...definition }: Definition): Definition {
  const made = (label: string) => Array.from({ length: CONFIGURED[label] ?? 0 }, (_, number) => `${label}${number}`);
  const all = Object.entries(labels).map(([label, values]) => [label, values.length > 0 ? values : made(label)] as const);
  return { ...definition, labels: Object.fromEntries(all) } as Definition;
}

const combinations = ({ labels = {} }: Definition): readonly Readonly<Record<string, string>>[] =>
  Object.entries(labels).reduce<readonly Readonly<Record<string, string>>[]>(
    (all, [label, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [label]: value }))),
    [{}],
  );

test('every metric has a name of the house, a help text, and labels that list their values or that the configuration bounds', () => {
  const names = DEFINITIONS.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name, at) => names.indexOf(name) !== at),
    [],
  );
  for (const { name, help, kind, labels = {} } of DEFINITIONS) {
    assert.match(name, /^angarium_[a-z0-9_]+$/);
    assert.match(help, /^[A-Z0-9a].*\.$/, name);
    assert.doesNotMatch(help, /\|/, name);
    assert.equal(name.endsWith('_total'), kind === 'counter', name);
    for (const [label, values] of Object.entries(labels)) assert.ok(values.length > 0 || label in CONFIGURED, `${name} ${label}`);
  }
});

test('all services together export fewer than 5,000 series, whatever happens and however many domains get mail', async () => {
  const metrics = createMetrics({ withProcess: true });
  for (const definition of DEFINITIONS.map(filled)) {
    const { meter } = registerMeters(metrics, { meter: definition });
    for (const labels of combinations(definition)) {
      if ('inc' in meter) meter.inc(labels);
      else if ('set' in meter) meter.set(1, labels);
      else meter.observe(1, labels);
    }
  }
  const { text } = await metrics.scrape();
  const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  assert.ok(series.length < 5000, `${series.length} series`);
  assert.ok(series.length > 500, `${series.length} series: not all were made`);
});
