import {
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  type Dashboard as GrafanaDashboard,
  QueryVariableBuilder,
  RowBuilder,
  TextBoxVariableBuilder,
  VariableRefresh,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { PanelBuilder as LogsBuilder } from '@grafana/grafana-foundation-sdk/logs';
import { DataqueryBuilder as LokiQueryBuilder } from '@grafana/grafana-foundation-sdk/loki';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { DataqueryBuilder as TempoQueryBuilder } from '@grafana/grafana-foundation-sdk/tempo';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import { type Dashboard, type Panel, SELECTOR, type Variable } from './panel.ts';

const PROMETHEUS = { type: 'prometheus', uid: '$datasource' };
const COLUMNS = 24;
const [LINES_HEIGHT, NUMBER_HEIGHT] = [8, 4];

const exprOf = (expr: string): string => expr.replaceAll('$f', SELECTOR);

function panelOf(panel: Panel, at: { readonly x: number; readonly y: number }) {
  const isNumber = panel.as === 'number';
  const builder = isNumber ? new StatBuilder() : new TimeseriesBuilder();
  builder
    .title(panel.title)
    .description(panel.description)
    .unit(panel.unit)
    .datasource(PROMETHEUS)
    .gridPos({ h: isNumber ? NUMBER_HEIGHT : LINES_HEIGHT, w: widthOf(panel), ...at });
  panel.queries.forEach(({ expr, legend }, index) => {
    const target = new DataqueryBuilder()
      .expr(exprOf(expr))
      .legendFormat(legend === '' ? '__auto' : legend)
      .refId(String.fromCharCode(65 + index));
    // Examples lead from a latency to the trace of a message.
    builder.withTarget(expr.startsWith('histogram_quantile') ? target.exemplar(true) : target);
  });
  return builder;
}

const widthOf = ({ as, width }: Panel): number => width ?? (as === 'number' ? 4 : 8);

function variableOf(variable: Variable) {
  if ('text' in variable) return new TextBoxVariableBuilder(variable.name).label(variable.label);
  return new QueryVariableBuilder(variable.name)
    .label(variable.label)
    .query(variable.of)
    .datasource(PROMETHEUS)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .multi(true)
    .includeAll(true)
    .allValue('.*');
}

const EVERYWHERE: readonly Variable[] = [
  { name: 'namespace', label: 'Namespace', of: 'label_values(angarium_build_info, namespace)' },
  { name: 'job', label: 'Job', of: 'label_values(angarium_build_info{namespace=~"$namespace"}, job)' },
];

/** The log lines and the trace of the message whose queue id is typed in. */
function addMessage(builder: DashboardBuilder, y: number): void {
  const [loki, tempo] = [
    { type: 'loki', uid: '$logs' },
    { type: 'tempo', uid: '$traces' },
  ];
  builder.withVariable(new DatasourceVariableBuilder('logs').label('Logs').type('loki'));
  builder.withVariable(new DatasourceVariableBuilder('traces').label('Traces').type('tempo'));
  const lines = new LokiQueryBuilder().expr('{namespace=~"$namespace"} |= "$queue_id" | json').refId('A').datasource(loki);
  const spans = new TempoQueryBuilder().query('{ .angarium.queue_id = "$queue_id" }').queryType('traceql').refId('A').datasource(tempo);
  builder.withPanel(
    new LogsBuilder()
      .title('Log lines')
      .description('Everything that any service wrote about the message.')
      .datasource(loki)
      .gridPos({ h: 12, w: COLUMNS, x: 0, y })
      .withTarget(lines),
  );
  builder.withPanel(
    new TableBuilder()
      .title('Traces')
      .description('Spans of the message; a click opens the whole trace. Empty when it was not traced (tracing.share).')
      .datasource(tempo)
      .gridPos({ h: 8, w: COLUMNS, x: 0, y: y + 12 })
      .withTarget(spans),
  );
}

/** The dashboard as Grafana reads it. */
export function buildDashboard({ uid, title, description, rows, variables = [] }: Dashboard): GrafanaDashboard {
  const builder = new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(['angarium'])
    .readonly()
    .time({ from: 'now-1h', to: 'now' })
    .refresh('30s')
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'));
  for (const variable of [...EVERYWHERE, ...variables]) builder.withVariable(variableOf(variable));
  let y = 0;
  for (const row of rows) {
    builder.withRow(new RowBuilder(row.title).gridPos({ h: 1, w: COLUMNS, x: 0, y }));
    y += 1;
    let [x, height] = [0, 0];
    for (const panel of row.panels) {
      if (x + widthOf(panel) > COLUMNS) [x, y, height] = [0, y + height, 0];
      builder.withPanel(panelOf(panel, { x, y }));
      x += widthOf(panel);
      height = Math.max(height, panel.as === 'number' ? NUMBER_HEIGHT : LINES_HEIGHT);
    }
    y += height;
  }
  if (uid === 'angarium-message') addMessage(builder, y);
  return builder.build();
}
