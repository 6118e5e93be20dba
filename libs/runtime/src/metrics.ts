import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
  type RegistryContentType,
} from 'prom-client';

/**
 * Definition of a metric. Every label lists all the values it may take: series stay bounded, and a raw domain or address
 * can never become a label.
 */
export interface MetricDefinition {
  /** `angarium_<service>_<noun>_<unit>[_total]`. */
  readonly name: string;
  readonly help: string;
  readonly labels?: Readonly<Record<string, readonly string[]>>;
}
export interface HistogramDefinition extends MetricDefinition {
  readonly buckets: readonly number[];
}
export type Labels = Readonly<Record<string, string>>;
export interface Counter {
  inc(labels?: Labels, by?: number): void;
}
export interface Gauge {
  set(value: number, labels?: Labels): void;
}
export interface Histogram {
  /** `traceId`: shown beside the value as its example, where metrics are made with exemplars; empty: none. */
  observe(value: number, labels?: Labels, traceId?: string): void;
}
/** What a gauge reads: a value, or one for each combination of its labels; those that it leaves out are not exported. */
export type Reading = number | readonly (readonly [value: number, labels: Labels])[];
export interface Metrics {
  counter(definition: MetricDefinition): Counter;
  gauge(definition: MetricDefinition): Gauge;
  /** `read` is called at each scrape. */
  gaugeOf(definition: MetricDefinition, read: () => Reading): void;
  histogram(definition: HistogramDefinition): Histogram;
  /** Exposition format of Prometheus, and its content type. */
  scrape(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/**
 * What was counted since the last scrape, a number for each combination of labels: a counter on the way of every message must
 * cost less than the series it ends in.
 */
function createSums({ name, labels: known = {} }: MetricDefinition) {
  // Of each label its values, and how far apart two of them lie; a label may be left out.
  let size = 1;
  const scales = Object.entries(known).map(([label, values]) => {
    const scale = { label, values, step: size, places: new Map(values.map((value, at) => [value, at + 1])) };
    size *= values.length + 1;
    return scale;
  });
  const sums = new Float64Array(size);
  const refuse = (label: string, value: string | undefined): never => {
    throw new RangeError(`${name}: label ${label} has no value ${JSON.stringify(value)}`);
  };
  return {
    add(given: Labels, by: number): void {
      if (!(by >= 0)) throw new RangeError(`${name}: counted ${by}`);
      let at = 0;
      for (const { label, places, step } of scales) {
        const value = given[label];
        if (value !== undefined) at += step * (places.get(value) ?? refuse(label, value));
      }
      for (const label in given) if (known[label] === undefined) refuse(label, given[label]);
      sums[at] = (sums[at] ?? 0) + by;
    },
    take(give: (labels: Labels, by: number) => void): void {
      for (const [at, by] of sums.entries()) {
        if (by === 0) continue;
        const labels = scales.flatMap(({ label, values, step }) => {
          const value = values[(Math.floor(at / step) % (values.length + 1)) - 1];
          return value === undefined ? [] : [[label, value] as const];
        });
        give(Object.fromEntries(labels), by);
        sums[at] = 0;
      }
    },
  };
}

function combinations(labels: MetricDefinition['labels'] = {}): readonly Labels[] {
  return Object.entries(labels).reduce<readonly Labels[]>(
    (all, [label, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [label]: value }))),
    [{}],
  );
}

/** Guards the promise of the definition: series stay bounded whatever a caller passes. */
function checked({ name, labels: known = {} }: MetricDefinition, given: Labels): Labels {
  for (const [label, value] of Object.entries(given)) {
    if (!known[label]?.includes(value)) throw new RangeError(`${name}: label ${label} has no value ${JSON.stringify(value)}`);
  }
  return given;
}

function setAll(gauge: PromGauge, definition: MetricDefinition, reading: Reading): void {
  if (typeof reading === 'number') {
    gauge.set(reading);
    return;
  }
  gauge.reset();
  for (const [value, labels] of reading) gauge.set(checked(definition, labels), value);
}

const observePlain =
  (histogram: PromHistogram, definition: MetricDefinition): Histogram['observe'] =>
  (value, labels = {}) =>
    histogram.observe(checked(definition, labels), value);

const observeTraced =
  (histogram: PromHistogram, definition: MetricDefinition): Histogram['observe'] =>
  (value, labels = {}, traceId = '') =>
    histogram.observe({ value, labels: checked(definition, labels), exemplarLabels: traceId === '' ? {} : { trace_id: traceId } });

/** Metrics of one process. Asking twice for one name gives the same metric: parts of one service may share it. */
export function createMetrics(options: { readonly withProcess: boolean; readonly withExemplars?: boolean }): Metrics {
  const { withExemplars = false } = options;
  const registry = new Registry<RegistryContentType>();
  // Only OpenMetrics has a place for exemplars.
  if (withExemplars) registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const known = new Map<string, unknown>();
  if (options.withProcess) collectDefaultMetrics({ register: registry });
  const once = <T>(definition: MetricDefinition, create: () => T): T => {
    const found = (known.get(definition.name) as T | undefined) ?? create();
    known.set(definition.name, found);
    return found;
  };
  const base = (definition: MetricDefinition) => ({
    name: definition.name,
    help: definition.help,
    labelNames: Object.keys(definition.labels ?? {}),
    registers: [registry],
  });
  return {
    counter: (definition) =>
      once(definition, () => {
        const sums = createSums(definition);
        const counter = new PromCounter({
          ...base(definition),
          collect() {
            sums.take((labels, by) => this.inc(labels, by));
          },
        });
        // There from the start: a rate does not see the count that a series begins with.
        for (const labels of combinations(definition.labels)) counter.inc(labels, 0);
        return { inc: (labels: Labels = {}, by = 1) => sums.add(labels, by) };
      }),
    gauge: (definition) =>
      once(definition, () => {
        const gauge = new PromGauge(base(definition));
        return { set: (value: number, labels: Labels = {}) => gauge.set(checked(definition, labels), value) };
      }),
    gaugeOf: (definition, read) => {
      once(
        definition,
        () =>
          new PromGauge({
            ...base(definition),
            collect() {
              setAll(this, definition, read());
            },
          }),
      );
    },
    histogram: (definition) =>
      once(definition, () => {
        const histogram = new PromHistogram({ ...base(definition), buckets: [...definition.buckets], enableExemplars: withExemplars });
        return { observe: withExemplars ? observeTraced(histogram, definition) : observePlain(histogram, definition) };
      }),
    scrape: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
