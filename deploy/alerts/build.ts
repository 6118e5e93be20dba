import { stringify } from 'yaml';
import { ALERTS, type Alert } from './alerts.ts';

/** Where a runbook is, in this repository. */
const runbookOf = ({ name }: Alert): string => `docs/runbooks/${name}.md`;

const exprOf = ({ conditions }: Alert): string =>
  conditions.map(([value, compare, limit]) => `(${value}) ${compare} ${Number(limit.toPrecision(6))}`).join('\nand\n');

const annotationsOf = (alert: Alert) => ({ summary: alert.summary, description: alert.means, runbook_url: runbookOf(alert) });

/** deploy/chart/alerts/angarium.yaml, which the chart and a Prometheus without an operator read. */
export function rulesFile(): string {
  const rules = ALERTS.map((alert) => ({
    alert: alert.name,
    expr: exprOf(alert),
    for: alert.for,
    labels: { severity: alert.severity },
    annotations: annotationsOf(alert),
  }));
  return stringify({ groups: [{ name: 'angarium', rules }] }, { lineWidth: 0 });
}

const DEFAULT_AT = '7h';

/** Tests for promtool: each alert rings once and is silent once. */
export function rulesTest(rulesPath: string): string {
  const testOf = (alert: Alert, series: Alert['rings'], rings: boolean) => ({
    interval: '1m',
    name: `${alert.name} ${rings ? 'rings' : 'is silent'}`,
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    alert_rule_test: [
      {
        eval_time: alert.at ?? DEFAULT_AT,
        alertname: alert.name,
        exp_alerts: rings ? [{ exp_labels: { severity: alert.severity, ...alert.labels }, exp_annotations: annotationsOf(alert) }] : [],
      },
    ],
  });
  const tests = ALERTS.flatMap((alert) => [testOf(alert, alert.rings, true), testOf(alert, alert.silent, false)]);
  return stringify({ rule_files: [rulesPath], evaluation_interval: '5m', tests }, { lineWidth: 0 });
}

const list = (items: readonly string[]) => items.map((item) => `- ${item}`).join('\n');

/** A page for each alert, by its path from the top of the repository. */
export function runbooks(): ReadonlyMap<string, string> {
  return new Map(
    ALERTS.map((alert) => [
      runbookOf(alert),
      `# ${alert.name}\n\n${alert.summary}\n\n## What it means\n\n${alert.means}\n\n\`\`\`\n${exprOf(alert)}\n\`\`\`\n\nIt rings after ${alert.for === '0m' ? 'the first look' : alert.for}, as a ${alert.severity}.\n\n## How to look\n\n${list(alert.look)}\n\n## What to do\n\n${list(alert.act)}\n`,
    ]),
  );
}
