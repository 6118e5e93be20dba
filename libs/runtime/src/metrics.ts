import { collectDefaultMetrics, Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram, Registry } from 'prom-client';

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
type Labels = Readonly<Record<string, string>>;
export interface Counter {
  inc(labels?: Labels, by?: number): void;
}
export interface Gauge {
  set(value: number, labels?: Labels): void;
}
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}
export interface Metrics {
  counter(definition: MetricDefinition): Counter;
  gauge(definition: MetricDefinition): Gauge;
  /** `read` is called at each scrape. */
  gaugeOf(definition: MetricDefinition, read: () => number): void;
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

/** Metrics of one process. Asking twice for one name gives the same metric: parts of one service may share it. */
export function createMetrics(options: { readonly withProcess: boolean }): Metrics {
  const registry = new Registry();
  const known = new Map<string, unknown>();
  if (options.withProcess) collectDefaultMetrics({ register: registry });
  const once = <T>(definition: MetricDefinition, create: () => T): T => {
    const found = (known.get(definition.name) as T | undefined) ?? create();
    known.set(definition.name, found);
    return found;
  };
  /** Guards the promise of the definition: series stay bounded whatever a caller passes. */
  const checked = ({ name, labels: known = {} }: MetricDefinition, given: Labels): Labels => {
    for (const [label, value] of Object.entries(given)) {
      if (!known[label]?.includes(value)) throw new RangeError(`${name}: label ${label} has no value ${JSON.stringify(value)}`);
    }
    return given;
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
        new PromCounter({
          ...base(definition),
          collect() {
            sums.take((labels, by) => this.inc(labels, by));
          },
        });
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
              this.set(read());
            },
          }),
      );
    },
    histogram: (definition) =>
      once(definition, () => {
        const histogram = new PromHistogram({ ...base(definition), buckets: [...definition.buckets] });
        return { observe: (value: number, labels: Labels = {}) => histogram.observe(checked(definition, labels), value) };
      }),
    scrape: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
