// Writes what is generated and committed: codecs and service stubs, the reference pages.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { rulesFile, runbooks } from '../../deploy/alerts/build.ts';
import { buildDashboard } from '../../deploy/dashboards/build.ts';
import { DASHBOARDS } from '../../deploy/dashboards/dashboards.ts';
import { valuesJsonSchema } from '../../deploy/values.ts';
import { configReference } from '../../libs/runtime/src/index.ts';

const root = new URL('../../', import.meta.url);
execFileSync('sh', ['proto/generate.sh'], { cwd: root, stdio: 'inherit' });
mkdirSync(new URL('docs/reference/', root), { recursive: true });
writeFileSync(new URL('docs/reference/configuration.md', root), configReference());
const metrics = execFileSync('node', ['services/angarium/src/main.ts', 'metrics'], { cwd: root });
writeFileSync(new URL('docs/reference/metrics.md', root), metrics);
writeFileSync(new URL('deploy/chart/values.schema.json', root), valuesJsonSchema());
for (const folder of ['deploy/chart/dashboards/', 'deploy/chart/alerts/', 'docs/runbooks/']) {
  rmSync(new URL(folder, root), { recursive: true, force: true });
  mkdirSync(new URL(folder, root), { recursive: true });
}
for (const dashboard of DASHBOARDS) {
  const file = new URL(`deploy/chart/dashboards/${dashboard.uid.replace('angarium-', '')}.json`, root);
  writeFileSync(file, `${JSON.stringify(buildDashboard(dashboard), null, 1)}\n`);
}
writeFileSync(new URL('deploy/chart/alerts/angarium.yaml', root), rulesFile());
for (const [path, text] of runbooks()) writeFileSync(new URL(path, root), text);
