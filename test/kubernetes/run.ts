// npm run test:kubernetes: the chart and the image on a real Kubernetes of this machine, made for it in a network namespace of its own and
// ended with it. Writes docs/kubernetes.md. Needs root, Go (once, a quarter of an hour) and Debian's containerd, runc, buildah, iptables.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchHelm } from './chart-tools.mjs';
import { fetchKubernetes, packagesMissing } from './cluster-tools.mjs';
import { startControlPlane } from './control-plane.ts';
import { IMAGE, runMail } from './mail.ts';
import { buildPause, closeNode, makeNetwork, startNode } from './node.ts';
import { runPretended } from './pretended.ts';
import { formatTable, type Row } from './table.ts';

const root = new URL('../..', import.meta.url).pathname;
const COMMAND = 'npm run test:kubernetes';

function imageSize(archive: string): string {
  const packed = Number(execFileSync('sh', ['-c', 'gzip -1 -c "$0" | wc -c', archive], { encoding: 'utf8' }));
  const mebi = (octets: number) => `${Math.round(octets / 1024 ** 2)} MiB`;
  return `${mebi(statSync(archive).size)}, ${mebi(packed)} compressed`;
}

function page(rows: readonly Row[]): string {
  return `# On Kubernetes

Written by \`${COMMAND}\` (${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores, Linux ${release().split('-')[0]}): a real API server, controllers and
scheduler of Kubernetes 1.37; nodes that only pretend for the first part, one real node (containerd, runc, kubelet, kube-proxy, CoreDNS) with the real
image for the second. Policies of the network are admitted and not enforced there: its network knows none.

${formatTable(rows)}
`;
}

/** Archives in the folder, made where there is a network. */
function buildImages(folder: string): Row {
  buildPause(join(folder, 'pause.tar'));
  const archive = join(folder, 'image.tar');
  const startedMs = performance.now();
  execFileSync(join(root, 'deploy/image/build.sh'), [IMAGE, archive], { stdio: ['ignore', 'ignore', 'inherit'] });
  return { what: 'the image', shown: `${imageSize(archive)}; built in ${((performance.now() - startedMs) / 1000).toFixed(0)} s` };
}

/** In a network namespace of its own. */
async function runInside(folder: string): Promise<void> {
  makeNetwork();
  const state = join(folder, 'state');
  mkdirSync(state);
  const plane = await startControlPlane({ folder: state, pretendedNodes: 3 });
  const close = async () => {
    closeNode(plane);
    await plane.close();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void close().then(() => process.exit(1)));
  try {
    const rows = [...(await runPretended(plane))];
    console.log(formatTable(rows));
    await startNode(plane, [join(folder, 'pause.tar'), join(folder, 'image.tar')]);
    rows.push(...(await runMail(plane, folder)));
    writeFileSync(join(folder, 'rows.json'), JSON.stringify(rows));
  } finally {
    await close();
  }
}

/** Makes the namespace, runs this file in it, and takes it away. */
function runOutside(): number {
  if (process.getuid?.() !== 0) throw new Error(`${COMMAND} needs root: it makes a network namespace and a node.`);
  const missing = packagesMissing();
  if (missing.length > 0)
    throw new Error(`${COMMAND} needs packages that are not here: apt-get install --no-install-recommends ${missing.join(' ')}`);
  fetchHelm();
  fetchKubernetes();
  const folder = mkdtempSync(join(tmpdir(), 'angarium-kubernetes-'));
  const name = `angarium-${process.pid}`;
  try {
    const image = buildImages(folder);
    execFileSync('ip', ['netns', 'add', name]);
    // Not `ip netns exec`: that hides the groups that containers are put into.
    const { status } = spawnSync('nsenter', [`--net=/run/netns/${name}`, process.execPath, import.meta.filename, folder], {
      stdio: 'inherit',
    });
    if (status !== 0) return status ?? 1;
    const rows = [image, ...(JSON.parse(readFileSync(join(folder, 'rows.json'), 'utf8')) as Row[])];
    writeFileSync(join(root, 'docs/kubernetes.md'), page(rows));
    console.log(formatTable(rows));
    return 0;
  } finally {
    if (existsSync(`/run/netns/${name}`)) execFileSync('ip', ['netns', 'del', name]);
    rmSync(folder, { recursive: true, force: true });
  }
}

const [inside] = process.argv.slice(2);
if (inside === undefined) process.exitCode = runOutside();
else await runInside(inside);
