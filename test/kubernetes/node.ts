import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BIN } from './cluster-tools.mjs';
import { type ControlPlane, eventually, PORTS } from './control-plane.ts';

/* One real node beside the control plane, in the same network namespace: containerd, runc, kubelet, kube-proxy, CoreDNS. */

/** Address of the node, which pods reach. */
export const NODE_ADDRESS = '192.0.2.1';
const POD_NETWORK = '198.51.100.0/24';
const PAUSE = 'localhost/pause:1';
export const NODE_NAME = 'real';

const BUILDAH = { ...process.env, STORAGE_DRIVER: 'vfs', BUILDAH_ISOLATION: 'chroot' };

/** The image that holds a pod's namespaces, as an archive. */
export function buildPause(archive: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'angarium-pause-'));
  try {
    execFileSync('gcc', ['-static', '-Os', '-o', join(folder, 'pause'), new URL('pause.c', import.meta.url).pathname]);
    writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n');
    execFileSync('buildah', ['build', '--quiet', '--tag', PAUSE, folder], { env: BUILDAH, stdio: 'ignore' });
    rmSync(archive, { force: true });
    execFileSync('buildah', ['push', '--quiet', PAUSE, `docker-archive:${archive}:${PAUSE}`], { env: BUILDAH, stdio: 'ignore' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Loopback, the node's own address and a route, in a namespace that has nothing yet. */
export function makeNetwork(): void {
  const ip = (...args: readonly string[]) => execFileSync('ip', args, { stdio: 'ignore' });
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', 'node0', 'type', 'bridge');
  ip('addr', 'add', `${NODE_ADDRESS}/24`, 'dev', 'node0');
  ip('link', 'set', 'node0', 'up');
  ip('route', 'add', 'default', 'dev', 'node0');
}

function writeConfiguration(folder: string): void {
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  mkdirSync(join(folder, 'cni'), { recursive: true });
  const ipam = { type: 'host-local', dataDir: join(folder, 'ipam'), ranges: [[{ subnet: POD_NETWORK }]], routes: [{ dst: '0.0.0.0/0' }] };
  const bridge = { type: 'bridge', bridge: 'pods0', isGateway: true, ipMasq: false, hairpinMode: true, ipam };
  write(
    'cni/10-pods.conflist',
    JSON.stringify({ cniVersion: '0.4.0', name: 'pods', plugins: [bridge, { type: 'portmap', capabilities: { portMappings: true } }] }),
  );
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  write(
    'containerd.toml',
    `version = 2
root = "${folder}/containerd"
state = "${folder}/containerd-state"
[grpc]
  address = "${folder}/containerd.sock"
[${cri}]
  sandbox_image = "${PAUSE}"
  # This machine may lack the right to choose who is ended first, and its namespaces stay in this folder.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [${cri}.containerd]
    snapshotter = "native"
  [${cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${folder}/cni"
`,
  );
  const kubelet = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: NODE_ADDRESS,
    port: PORTS.kubelet,
    healthzPort: 0,
    readOnlyPort: 0,
    containerRuntimeEndpoint: `unix://${folder}/containerd.sock`,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    cgroupDriver: 'cgroupfs',
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: 0,
    clusterDomain: 'cluster.local',
    clusterDNS: [NODE_ADDRESS],
    enforceNodeAllocatable: [],
    imageGCHighThresholdPercent: 100,
    evictionHard: { 'memory.available': '100Mi' },
    // What is renewed is to be seen in seconds, not in a minute and a half.
    syncFrequency: '5s',
  };
  write('kubelet.json', JSON.stringify(kubelet));
  const proxy = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    bindAddress: NODE_ADDRESS,
    clientConnection: { kubeconfig: join(folder, 'kubeconfig') },
    conntrack: { maxPerCore: 0, min: 0 },
    healthzBindAddress: `127.0.0.1:${PORTS.proxy}`,
    metricsBindAddress: `127.0.0.1:${PORTS.proxyMetrics}`,
    iptables: { minSyncPeriod: '0s', syncPeriod: '10s' },
  };
  write('proxy.json', JSON.stringify(proxy));
  write(
    'Corefile',
    `cluster.local:53 {\n bind ${NODE_ADDRESS}\n kubernetes {\n  kubeconfig ${join(folder, 'kubeconfig')} test\n  ttl 2\n }\n}\n`,
  );
}

/** For its own images; kubelet's are in the same place. */
const containers = ({ folder }: ControlPlane, ...args: readonly string[]) =>
  spawnSync('ctr', ['-a', join(folder, 'containerd.sock'), '-n', 'k8s.io', ...args], { encoding: 'utf8' });

/** Starts the node with the images of the archives. Must run in a network namespace of its own, as root. */
export async function startNode(plane: ControlPlane, archives: readonly string[]): Promise<void> {
  const { folder } = plane;
  writeConfiguration(folder);
  plane.run('containerd', ['containerd', '-c', join(folder, 'containerd.toml')]);
  await eventually('containerd', () => (containers(plane, 'version').status === 0 ? true : undefined));
  for (const archive of archives) {
    const { status, stderr } = containers(plane, 'images', 'import', archive);
    if (status !== 0) throw new Error(`${archive}: ${stderr}`);
  }
  const kubelet = {
    config: join(folder, 'kubelet.json'),
    kubeconfig: join(folder, 'kubeconfig'),
    'hostname-override': NODE_NAME,
    'node-ip': NODE_ADDRESS,
    'root-dir': join(folder, 'kubelet'),
    'cert-dir': join(folder, 'pki'),
  };
  plane.run('kubelet', [join(BIN, 'kubelet'), ...Object.entries(kubelet).map(([name, value]) => `--${name}=${value}`)]);
  plane.run('proxy', [join(BIN, 'kube-proxy'), `--config=${join(folder, 'proxy.json')}`, `--hostname-override=${NODE_NAME}`]);
  plane.run('dns', [join(BIN, 'coredns'), '-conf', join(folder, 'Corefile')]);
  await eventually('the node', () =>
    plane.tryKubectl(['wait', '--for=condition=Ready', `node/${NODE_NAME}`, '--timeout=1s']).code === 0 ? true : undefined,
  );
}

/** Ends the pods of a node, which outlive kubelet and containerd, and lets go of what they had mounted. */
export function closeNode(plane: ControlPlane): void {
  const { folder } = plane;
  if (!existsSync(join(folder, 'containerd.sock'))) return;
  plane.end('kubelet');
  const tasks = () =>
    containers(plane, 'tasks', 'ls', '-q')
      .stdout.split('\n')
      .filter((task) => task !== '');
  for (const task of tasks()) containers(plane, 'tasks', 'kill', '-s', 'SIGKILL', task);
  for (const task of tasks()) containers(plane, 'tasks', 'rm', '-f', task);
  const mounts = spawnSync('findmnt', ['-rno', 'TARGET'], { encoding: 'utf8' }).stdout.split('\n');
  for (const mount of mounts
    .filter((path) => path.startsWith(`${folder}/`))
    .toSorted()
    .reverse())
    spawnSync('umount', [mount]);
}
