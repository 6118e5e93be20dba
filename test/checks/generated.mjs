// What is generated must be what is committed.
import { execFileSync } from 'node:child_process';

const root = new URL('../..', import.meta.url).pathname;
const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' });
const places = ['libs/records/src/gen', 'libs/rpc/src/gen', 'docs/reference', 'deploy/chart', 'docs/runbooks'];
const before = git('status', '--porcelain', '--', ...places) + git('diff', '--', ...places);
execFileSync('node', ['test/checks/generate.mjs'], { cwd: root, stdio: 'inherit' });
const after = git('status', '--porcelain', '--', ...places) + git('diff', '--', ...places);
if (before !== after) {
  console.error(`stale: run \`npm run generate\` and commit\n${git('diff', '--stat', '--', ...places)}`);
  process.exitCode = 1;
}
