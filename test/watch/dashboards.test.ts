import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ALERTS } from '../../deploy/alerts/alerts.ts';
import { rulesTest } from '../../deploy/alerts/build.ts';
import { until } from '../e2e/angarium.ts';
import { PROMTOOL, prometheusMissing } from './prometheus.ts';
import { startWatched, type Watched } from './world.ts';

/* Dashboards and alerts: their form, their tests, and every query on a real Prometheus that watches a running Angarium. */

const root = new URL('../../', import.meta.url).pathname;
const RULES = join(root, 'deploy/chart/alerts/angarium.yaml');
const skip = prometheusMissing();

interface Target {
  readonly expr?: string;
  readonly refId: string;
}
interface PanelJson {
  readonly type: string;
  readonly title?: string;
  readonly description?: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly Target[];
  readonly panels?: readonly PanelJson[];
}
interface DashboardJson {
  readonly uid: string;
  readonly title: string;
  readonly editable: boolean;
  readonly panels: readonly PanelJson[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
}

const folder = join(root, 'deploy/chart/dashboards');
const dashboards = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as DashboardJson);
const panelsOf = (panels: readonly PanelJson[]): readonly PanelJson[] =>
  panels.flatMap((panel) => [panel, ...panelsOf(panel.panels ?? [])]);
/** Panels that Prometheus fills. */
const measured = (dashboard: DashboardJson) => panelsOf(dashboard.panels).filter(({ datasource }) => datasource?.type === 'prometheus');

test('there are the dashboards that somebody on duty needs', () => {
  assert.deepEqual(
    dashboards.map(({ uid }) => uid),
    ['delivery', 'ingress', 'mailbox', 'message', 'overview', 'queue', 'stores'].map((name) => `angarium-${name}`),
  );
});

for (const dashboard of dashboards) {
  test(`${dashboard.title}: every panel is titled, described, has a unit, and asks the chosen source`, () => {
    assert.equal(dashboard.editable, false);
    for (const name of ['datasource', 'namespace', 'job'])
      assert.ok(
        dashboard.templating.list.some((variable) => variable.name === name),
        name,
      );
    const panels = panelsOf(dashboard.panels).filter(({ type }) => type !== 'row');
    assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length, 'two panels have one title');
    for (const { title, description, datasource, fieldConfig, targets = [] } of panels) {
      assert.ok(title && description && targets.length > 0, title);
      assert.match(datasource?.uid ?? '', /^\$(datasource|logs|traces)$/, title);
      if (datasource?.type !== 'prometheus') continue;
      assert.ok(fieldConfig?.defaults.unit, title);
      for (const { expr = '' } of targets) {
        assert.doesNotMatch(expr, /\$f\b/, title);
        if (/\brate\(/.test(expr)) assert.match(expr, /\[\$__rate_interval\]/, title);
        for (const [selector] of expr.matchAll(/(?:angarium|nodejs|process)_\w+(\{[^}]*\})?/g))
          assert.match(selector, /\{namespace=~"\$namespace",job=~"\$job"/, `${title}: ${selector}`);
      }
    }
  });
}

test('every alert has its runbook, rings when it should and is silent when it should be', { skip }, (t) => {
  const work = mkdtempSync(join(tmpdir(), 'angarium-rules-'));
  t.after(() => rmSync(work, { recursive: true }));
  const checked = spawnSync(PROMTOOL, ['check', 'rules', RULES], { encoding: 'utf8' });
  assert.equal(checked.status, 0, `${checked.stdout}${checked.stderr}`);
  for (const { name } of ALERTS) assert.ok(existsSync(join(root, `docs/runbooks/${name}.md`)), name);
  const file = join(work, 'rules.test.yaml');
  writeFileSync(file, rulesTest(RULES));
  const tested = spawnSync(PROMTOOL, ['test', 'rules', file], { encoding: 'utf8' });
  assert.equal(tested.status, 0, `${tested.stdout}${tested.stderr}`);
});

const VARIABLES: Readonly<Record<string, string>> = {
  $__rate_interval: '10s',
  $namespace: '.*',
  $job: '.*',
  $provider: '.*',
};
const concrete = (expr: string) => Object.entries(VARIABLES).reduce((text, [name, value]) => text.replaceAll(name, value), expr);

let watched: Watched | undefined;
after(() => watched?.close());

test('every query of every panel and every condition of every alert has data while mail flows', { skip, timeout: 120_000 }, async () => {
  watched = await startWatched();
  const { prometheus } = watched;
  const queries = [
    ...dashboards.flatMap((dashboard) =>
      measured(dashboard).flatMap(({ title, targets = [] }) =>
        targets.map(({ expr = '', refId }) => [`${dashboard.title}, ${title}, ${refId}`, concrete(expr)] as const),
      ),
    ),
    ...ALERTS.flatMap(({ name, conditions }) => conditions.map(([value]) => [name, value] as const)),
  ];
  const silent = async () => {
    const found: string[] = [];
    for (const [what, expr] of queries) {
      const samples = await prometheus.query(expr);
      if (!samples.some(({ value }) => !Number.isNaN(value))) found.push(`${what}: ${expr}`);
    }
    return found;
  };
  let last: readonly string[] = [];
  await until(async () => {
    last = await silent();
    return last.length === 0 ? true : undefined;
  }, 60_000).catch(() => assert.deepEqual(last, []));
  assert.ok(queries.length > 100, `${queries.length} queries`);
});

test('no alert but those of a young count rings while mail flows', { skip }, async () => {
  assert.ok(watched);
  const ringing = await watched.prometheus.query('ALERTS{alertstate="firing"}');
  assert.deepEqual(
    ringing.map(({ metric }) => metric.alertname),
    [],
  );
});
