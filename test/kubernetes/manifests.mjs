// Writes deploy/manifests: what the chart renders, for those who apply plain manifests. Needs helm (npm run tools).
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { HELM } from './chart-tools.mjs';

const deploy = new URL('../../deploy/', import.meta.url).pathname;
for (const name of ['one-pod', 'minimal']) {
  const args = ['template', 'r', `${deploy}chart`, '--kube-version', '1.37.0', '-f', `${deploy}test-values/${name}.yaml`];
  writeFileSync(`${deploy}manifests/${name}.yaml`, execFileSync(HELM, args, { encoding: 'utf8' }));
}
