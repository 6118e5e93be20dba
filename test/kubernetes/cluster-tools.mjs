// Builds a real Kubernetes for tests into .cache/tools/kubernetes: control plane, kubelet, CoreDNS, kwok (nodes that only pretend) and the
// definitions of the kinds that the chart uses of other operators. A quarter of an hour from nothing, through Go; once.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const KUBERNETES = '1.37.2';
const ETCD = '3.7.3';
const KWOK = '0.8.0';
const COREDNS = '1.15.0';
const CONTROLLER_GEN = '0.23.0';
/** Where kinds of other operators are defined, in Go. */
const DEFINITIONS = [
  ['github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring', '0.95.1', '/v1'],
  ['github.com/cert-manager/cert-manager', '1.21.2', '/pkg/apis/certmanager/v1'],
  ['github.com/kedacore/keda/v2', '2.21.0', '/apis/keda/v1alpha1'],
];
const PROGRAMS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl', 'kubelet', 'kube-proxy'];
/** What the machine itself must have; Debian's packages. */
const INSTALLED = { containerd: 'containerd', runc: 'runc', iptables: 'iptables', buildah: 'buildah', gcc: 'gcc', openssl: 'openssl' };

const cache = new URL('../../.cache/tools/kubernetes', import.meta.url).pathname;
export const BIN = join(cache, 'bin');
export const CRDS = join(cache, 'crds');

const go = (cwd, args, env = {}) =>
  execFileSync('go', args, {
    cwd,
    env: { ...process.env, CGO_ENABLED: '0', GOBIN: BIN, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });

function inModule(work) {
  const folder = mkdtempSync(join(tmpdir(), 'angarium-go-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Kubernetes names its own parts by folders beside it; each is published under its own name too. */
function buildKubernetes(missing) {
  inModule((folder) => {
    const staged = `0.${KUBERNETES.replace(/^1\./, '')}`;
    writeFileSync(join(folder, 'go.mod'), `module kubernetes\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v${KUBERNETES}\n`);
    const { GoMod } = JSON.parse(go(folder, ['mod', 'download', '-json', `k8s.io/kubernetes@v${KUBERNETES}`]));
    const replaced = [...readFileSync(GoMod, 'utf8').matchAll(/^\s*(?:replace )?(\S+) => \.\/staging/gm)]
      .map(([, name]) => name)
      .filter((name) => !/sample-(cli-plugin|controller)/.test(name))
      .map((name) => `replace ${name} => ${name} v${staged}\n`);
    writeFileSync(join(folder, 'go.mod'), replaced.join(''), { flag: 'a' });
    const imports = PROGRAMS.map((name) => `import _ "k8s.io/kubernetes/cmd/${name}"\n`);
    writeFileSync(join(folder, 'tools.go'), `//go:build tools\n\npackage tools\n\n${imports.join('')}`);
    go(folder, ['mod', 'tidy', '-e']);
    const [major, minor] = KUBERNETES.split('.');
    const version = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((name) => [
      `-X ${name}.gitVersion=v${KUBERNETES}`,
      `-X ${name}.gitMajor=${major}`,
      `-X ${name}.gitMinor=${minor}`,
    ]);
    for (const name of missing) {
      console.log(`tools: building ${name} ${KUBERNETES}`);
      go(folder, ['build', '-trimpath', `-ldflags=-s -w ${version.join(' ')}`, '-o', join(BIN, name), `k8s.io/kubernetes/cmd/${name}`]);
    }
  });
}

function buildEtcd() {
  inModule((folder) => {
    writeFileSync(join(folder, 'go.mod'), 'module etcd\n\ngo 1.26.0\n');
    go(folder, ['get', `go.etcd.io/etcd/server/v3@v${ETCD}`]);
    go(folder, ['build', '-trimpath', '-ldflags=-s -w', '-o', join(BIN, 'etcd'), 'go.etcd.io/etcd/server/v3']);
  });
}

/** kwok does what its stages say, which its module brings. */
function buildKwok() {
  go(cache, ['install', '-trimpath', '-ldflags=-s -w', `sigs.k8s.io/kwok/cmd/kwok@v${KWOK}`]);
  const { Dir } = JSON.parse(go(cache, ['mod', 'download', '-json', `sigs.k8s.io/kwok@v${KWOK}`]));
  const fast = ['ready', 'complete', 'delete'].map((name) => `pod/fast/pod-${name}`);
  const stages = ['node/fast/node-initialize', 'node/heartbeat-with-lease/node-heartbeat-with-lease', ...fast];
  const texts = stages.map((name) => readFileSync(join(Dir, 'kustomize/stage', `${name}.yaml`), 'utf8'));
  writeFileSync(join(BIN, 'kwok-stages.yaml'), texts.join('\n---\n'));
}

function makeDefinitions() {
  inModule((folder) => {
    writeFileSync(join(folder, 'go.mod'), 'module definitions\n\ngo 1.26.0\n');
    const imports = DEFINITIONS.map(([module, , path]) => `import _ "${module}${path}"\n`);
    writeFileSync(join(folder, 'tools.go'), `//go:build tools\n\npackage tools\n\n${imports.join('')}`);
    go(folder, ['get', ...DEFINITIONS.map(([module, version]) => `${module}@v${version}`)]);
    go(folder, ['mod', 'tidy', '-e']);
    const out = join(folder, 'out');
    for (const [module, , path] of DEFINITIONS) {
      const args = ['crd:allowDangerousTypes=true', `paths=${module}${path}`, `output:crd:dir=${out}`];
      execFileSync(join(BIN, 'controller-gen'), args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    }
    mkdirSync(CRDS, { recursive: true });
    for (const kind of ['podmonitors', 'prometheusrules'])
      copyFileSync(join(out, `monitoring.coreos.com_${kind}.yaml`), join(CRDS, `${kind}.yaml`));
    copyFileSync(join(out, 'cert-manager.io_certificates.yaml'), join(CRDS, 'certificates.yaml'));
    copyFileSync(join(out, 'keda.sh_scaledobjects.yaml'), join(CRDS, 'scaledobjects.yaml.part'));
    renameSync(join(CRDS, 'scaledobjects.yaml.part'), join(CRDS, 'scaledobjects.yaml'));
  });
}

const isThere = (name) => existsSync(join(BIN, name));

/** Builds what is missing. @throws when Go is missing or cannot reach its proxy */
export function fetchKubernetes() {
  mkdirSync(BIN, { recursive: true });
  const missing = PROGRAMS.filter((name) => !isThere(name));
  if (missing.length > 0) buildKubernetes(missing);
  if (!isThere('etcd')) buildEtcd();
  if (!isThere('kwok-stages.yaml')) buildKwok();
  if (!isThere('coredns')) go(cache, ['install', '-trimpath', '-ldflags=-s -w', `github.com/coredns/coredns@v${COREDNS}`]);
  if (!isThere('controller-gen')) go(cache, ['install', `sigs.k8s.io/controller-tools/cmd/controller-gen@v${CONTROLLER_GEN}`]);
  if (!existsSync(join(CRDS, 'scaledobjects.yaml'))) makeDefinitions();
  console.log(`tools: Kubernetes ${KUBERNETES} in .cache/tools/kubernetes`);
}

/** Names of Debian packages that a node needs and this machine has not. */
export function packagesMissing() {
  const isInstalled = (program) => {
    try {
      execFileSync('sh', ['-c', 'command -v "$0"', program], {
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
        stdio: 'ignore',
      });
      return true;
    } catch {
      return false;
    }
  };
  const missing = Object.entries(INSTALLED).flatMap(([program, name]) => (isInstalled(program) ? [] : [name]));
  return existsSync('/usr/lib/cni/bridge') ? missing : [...missing, 'containernetworking-plugins'];
}
