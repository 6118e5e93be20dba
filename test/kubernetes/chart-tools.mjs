// What the tests of the chart need: helm, and the schemas of every supported version of Kubernetes (PyPI's kubernetes-validate).
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fetchGoProgram, reasonOf } from '../fixtures/go-programs.mjs';

export const HELM_VERSION = '4.3.1';
const VALIDATE_VERSION = '1.37.0';

const cache = new URL('../../.cache/tools', import.meta.url).pathname;
export const HELM = join(cache, 'bin', `helm-${HELM_VERSION}`);
export const VALIDATE = join(cache, 'python/bin/kubernetes-validate');

export const fetchHelm = () => fetchGoProgram({ name: 'helm', module: 'helm.sh/helm/v4/cmd/helm', version: HELM_VERSION });

function fetchValidate() {
  if (existsSync(VALIDATE)) return;
  execFileSync('python3', ['-m', 'venv', join(cache, 'python')], { stdio: 'ignore' });
  const pip = ['install', '--quiet', '--disable-pip-version-check', `kubernetes-validate==${VALIDATE_VERSION}`];
  execFileSync(join(cache, 'python/bin/pip'), pip, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
}

/** For the `skip` option of a test: false when both are there. In CI the tests run all the same, and fail. */
export function chartToolsMissing() {
  const missing = [HELM, VALIDATE].filter((program) => !existsSync(program));
  if (missing.length === 0) return false;
  console.log(`LEFT OUT: tests of the chart need ${missing.join(', ')}: npm run tools (Go, Python).`);
  return process.env.CI ? false : `${missing.join(', ')} missing`;
}

/** What `npm run tools` does about the chart. */
export function fetchChartTools() {
  try {
    fetchHelm();
    fetchValidate();
    console.log(`tools: helm ${HELM_VERSION}, kubernetes-validate ${VALIDATE_VERSION} in .cache/tools`);
  } catch (error) {
    console.log(`TOOLS MISSING: helm, kubernetes-validate (${reasonOf(error)}). Tests of the chart are left out, or fail in CI.`);
  }
}
