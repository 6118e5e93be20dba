import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Counter, Gauge, Histogram, HistogramDefinition, MetricDefinition, Metrics, Reading } from './metrics.ts';

type Definition = (MetricDefinition & { readonly kind: 'counter' | 'gauge' }) | (HistogramDefinition & { readonly kind: 'histogram' });

/**
 * Metrics of a room by the names that its code has for them. A table is registered as a whole, and it is what the reference page
 * is made from. A label without values takes those that the configuration gives it.
 */
export type MetricTable = Readonly<Record<string, Definition>>;

type MeterOf<Kind> = Kind extends 'counter' ? Counter : Kind extends 'gauge' ? Gauge : Histogram;

/** What its code counts and measures with, by the names of the table. */
export function registerMeters<const T extends MetricTable>(
  metrics: Metrics,
  table: T,
): { readonly [Name in keyof T]: MeterOf<T[Name]['kind']> } {
  const meters = Object.entries(table).map(([name, definition]) => {
    const meter = definition.kind === 'histogram' ? metrics.histogram(definition) : metrics[definition.kind](definition);
    return [name, meter] as const;
  });
  return Object.fromEntries(meters) as { readonly [Name in keyof T]: MeterOf<T[Name]['kind']> };
}

/** Registers gauges that are read at each scrape. */
export function registerGauges<const T extends MetricTable>(
  metrics: Metrics,
  table: T,
  reads: { readonly [Name in keyof T]: () => Reading },
): void {
  for (const [name, definition] of Object.entries(table)) metrics.gaugeOf(definition, reads[name as keyof T]);
}

const INTRODUCTION = `# Metrics

Generated from the definitions in the code by \`npm run generate\`; a check fails when it is stale, and a test compares it with what
a running process exports. Every process serves those of the parts that run in it at \`/metrics\` (\`metrics.listen\`). A label takes
the values that are listed and no others; domains, addresses and clients are never labels. A counter is there at 0 from the start.
`;

const HEAD = '| Metric | Kind | Labels | Meaning |\n|---|---|---|---|';

function labelsOf({ labels = {} }: MetricDefinition): string {
  return Object.entries(labels)
    .map(([label, values]) => (values.length === 0 ? `\`${label}\`` : `\`${label}\`: ${values.join(', ')}`))
    .join('; ');
}

const rowOf = (definition: Definition): string =>
  `| \`${definition.name}\` | ${definition.kind} | ${labelsOf(definition)} | ${definition.help} |`;

interface PromMetric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly labelNames: readonly string[];
}

/** What prom-client measures of the process itself. */
function processRows(): readonly string[] {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = registry.getMetricsAsArray() as unknown as readonly PromMetric[];
  return [...metrics]
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(
      ({ name, type, labelNames, help }) => `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join('; ')} | ${help} |`,
    );
}

/** docs/reference/metrics.md: everything that is exported, by the part that exports it. */
export function metricsReference(parts: Readonly<Record<string, readonly MetricTable[]>>): string {
  const sections = Object.entries(parts).map(([title, tables]) => {
    const definitions = tables.flatMap((table) => Object.values(table)).sort((one, other) => (one.name < other.name ? -1 : 1));
    return `## ${title}\n\n${HEAD}\n${definitions.map(rowOf).join('\n')}\n`;
  });
  return [INTRODUCTION, ...sections, `## Process\n\n${HEAD}\n${processRows().join('\n')}\n`].join('\n');
}
