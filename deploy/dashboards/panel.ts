/** A query, with what its lines are called. `$f` stands for the selector of the dashboard's variables. */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  /** What it shows, and what would be wrong. */
  readonly description: string;
  /** Grafana's name of it. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Left out: lines over time. */
  readonly as?: 'number';
  /** Of 24; left out: 8, numbers 4. */
  readonly width?: number;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Dashboard {
  /** Of the file, and of the dashboard in Grafana. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly Row[];
  /** Variables of its own. */
  readonly variables?: readonly Variable[];
}

export type Variable =
  | { readonly name: string; readonly label: string; readonly of: string }
  /** Typed in. */
  | { readonly name: string; readonly label: string; readonly text: true };

/** The selector that `$f` stands for. */
export const SELECTOR = 'namespace=~"$namespace",job=~"$job"';

export const query = (expr: string, legend = ''): Query => ({ expr, legend });
/** Events a second of a counter, over labels. */
export const rate = (metric: string, by = '', filter = ''): string =>
  `sum${by === '' ? '' : ` by (${by})`} (rate(${metric}{$f${filter === '' ? '' : `,${filter}`}}[$__rate_interval]))`;
/** A quantile of a histogram. */
export const quantile = (share: number, metric: string, filter = ''): string =>
  `histogram_quantile(${share}, sum by (le) (rate(${metric}_bucket{$f${filter === '' ? '' : `,${filter}`}}[$__rate_interval])))`;
export const sum = (metric: string, by = '', filter = ''): string =>
  `sum${by === '' ? '' : ` by (${by})`} (${metric}{$f${filter === '' ? '' : `,${filter}`}})`;
export const max = (metric: string, by = '', filter = ''): string =>
  `max${by === '' ? '' : ` by (${by})`} (${metric}{$f${filter === '' ? '' : `,${filter}`}})`;

/** Median and tail of a histogram, as two lines. */
export const latency = (metric: string, filter = ''): readonly Query[] => [
  query(quantile(0.5, metric, filter), 'median'),
  query(quantile(0.99, metric, filter), '99 %'),
];
