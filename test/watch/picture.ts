// npm run overview: draws docs/overview.svg from what the queries of the dashboard Overview give while mail of every kind flows.
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type DrawnPanel, drawDashboard } from '../../deploy/dashboards/picture.ts';
import { startWatched } from './world.ts';

const SECONDS = 90;
const root = new URL('../../', import.meta.url);
const VARIABLES = { $__rate_interval: '10s', $namespace: '.*', $job: '.*' };

interface PanelJson {
  readonly type: string;
  readonly title: string;
  readonly gridPos: DrawnPanel['at'];
  readonly fieldConfig: { readonly defaults: { readonly unit: string } };
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const { title, panels } = JSON.parse(readFileSync(new URL('deploy/chart/dashboards/overview.json', root), 'utf8')) as {
  title: string;
  panels: readonly PanelJson[];
};
const concrete = (expr: string) => Object.entries(VARIABLES).reduce((text, [name, value]) => text.replaceAll(name, value), expr);
const legendOf = (format: string, metric: Readonly<Record<string, string>>) =>
  format.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? '');

const watched = await startWatched();
try {
  await pause(SECONDS * 1000);
  const drawn: DrawnPanel[] = [];
  for (const { type, title: name, gridPos, fieldConfig, targets } of panels.filter((panel) => panel.type !== 'row')) {
    const answers = await Promise.all(targets.map(({ expr }) => watched.prometheus.range(concrete(expr), SECONDS)));
    const lines = answers.flatMap((series, index) =>
      series.map(({ metric, values }) => ({
        legend: legendOf(targets[index]?.legendFormat ?? '', metric),
        values: values.map(([, value]) => value),
      })),
    );
    const { unit } = fieldConfig.defaults;
    drawn.push({ title: name, unit, isNumber: type === 'stat', at: gridPos, lines });
  }
  writeFileSync(new URL('docs/overview.svg', root), drawDashboard(title, drawn));
} finally {
  await watched.close();
}
