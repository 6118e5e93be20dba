// Writes what is generated and committed: codecs and service stubs, the reference pages.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { valuesJsonSchema } from '../../deploy/values.ts';
import { configReference } from '../../libs/runtime/src/index.ts';

const root = new URL('../../', import.meta.url);
execFileSync('sh', ['proto/generate.sh'], { cwd: root, stdio: 'inherit' });
mkdirSync(new URL('docs/reference/', root), { recursive: true });
writeFileSync(new URL('docs/reference/configuration.md', root), configReference());
const metrics = execFileSync('node', ['services/angarium/src/main.ts', 'metrics'], { cwd: root });
writeFileSync(new URL('docs/reference/metrics.md', root), metrics);
writeFileSync(new URL('deploy/chart/values.schema.json', root), valuesJsonSchema());
