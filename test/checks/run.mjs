// All checks that are not tests, one after the other; every one runs even when an earlier one fails.
import { spawnSync } from 'node:child_process';

const root = new URL('../..', import.meta.url).pathname;
const CHECKS = {
  types: ['tsc', '-p', 'tsconfig.base.json'],
  format: ['biome', 'check', '--error-on-warnings', '.'],
  lint: ['eslint', '-c', 'test/checks/eslint.config.mjs', '--max-warnings=0', 'libs', 'services', 'test', 'deploy'],
  architecture: ['node', 'test/checks/architecture.mjs'],
  unused: ['knip', '--treat-config-hints-as-errors'],
  proto: ['buf', 'lint', 'proto'],
  'proto compatibility': ['buf', 'breaking', 'proto', '--against', 'proto/baseline.binpb'],
  generated: ['node', 'test/checks/generated.mjs'],
  cost: ['node', 'test/bench/cost.ts'],
  'RFC citations': ['node', 'test/checks/rfc-citations.mjs'],
};

const failed = [];
for (const [name, [command, ...args]] of Object.entries(CHECKS)) {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
  if (status !== 0) {
    failed.push(name);
    console.log(`${stdout}${stderr}`.trimEnd());
  }
}
console.log(failed.length === 0 ? `${Object.keys(CHECKS).length} checks, all good` : `failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
