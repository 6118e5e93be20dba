import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { HELM } from './chart-tools.mjs';
import { BIN } from './cluster-tools.mjs';

/* A real API server with its controllers, on loopback of this network namespace, and nodes that only pretend (kwok). */

export const PORTS = {
  etcd: 24_000,
  peer: 24_001,
  api: 24_002,
  controllers: 24_003,
  scheduler: 24_004,
  kwok: 24_005,
  kubelet: 24_010,
  proxy: 24_011,
  proxyMetrics: 24_012,
};
const READY_WITHIN_MS = 90_000;

export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ControlPlane {
  readonly folder: string;
  /** Runs a process until `close`; its output goes to a file. */
  run(name: string, command: readonly string[]): void;
  /** What kubectl writes. @throws what it complains of */
  kubectl(args: readonly string[], input?: string): string;
  tryKubectl(args: readonly string[], input?: string): Answer;
  tryHelm(args: readonly string[]): Answer;
  helm(args: readonly string[]): string;
  /** The same while other things go on here. */
  helmBeside(args: readonly string[]): Promise<void>;
  /** Tells one of them to end. */
  end(name: string): void;
  /** Ends what was run, the last one first. */
  close(): Promise<void>;
}

function makeKeys(folder: string): string {
  const pki = join(folder, 'pki');
  mkdirSync(pki, { recursive: true });
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: pki, stdio: 'ignore' });
  openssl('genrsa', '-out', 'sa.key', '2048');
  openssl('rsa', '-in', 'sa.key', '-pubout', '-out', 'sa.pub');
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '3', '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.crt');
  writeFileSync(join(pki, 'names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc\n');
  for (const [name, subject] of [
    ['api', '/CN=kube-apiserver'],
    ['front', '/CN=front-proxy'],
  ] as const) {
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', subject, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '3',
      '-out',
      `${name}.crt`,
      '-extfile',
      'names',
    );
  }
  const token = randomBytes(16).toString('hex');
  writeFileSync(join(pki, 'tokens.csv'), `${token},admin,admin,"system:masters"\n`, { mode: 0o600 });
  return token;
}

function kubeconfigOf(folder: string, token: string): string {
  const cluster = { server: `https://127.0.0.1:${PORTS.api}`, 'certificate-authority': join(folder, 'pki/ca.crt') };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin', namespace: 'default' } }],
    'current-context': 'test',
  });
}

const flags = (given: Readonly<Record<string, string | number | boolean>>): string[] =>
  Object.entries(given).map(([name, value]) => `--${name}=${value}`);

function commandsOf(folder: string): readonly (readonly [string, readonly string[]])[] {
  const pki = (name: string) => join(folder, 'pki', name);
  const kubeconfig = join(folder, 'kubeconfig');
  const etcd = `http://127.0.0.1:${PORTS.etcd}`;
  const peer = `http://127.0.0.1:${PORTS.peer}`;
  const loopback = { 'bind-address': '127.0.0.1', 'cert-dir': join(folder, 'pki'), kubeconfig };
  const frontProxy = {
    'requestheader-client-ca-file': pki('ca.crt'),
    'requestheader-allowed-names': 'front-proxy',
    'requestheader-username-headers': 'X-Remote-User',
    'requestheader-group-headers': 'X-Remote-Group',
    'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
    'proxy-client-cert-file': pki('front.crt'),
    'proxy-client-key-file': pki('front.key'),
  };
  const api = {
    'etcd-servers': etcd,
    'bind-address': '127.0.0.1',
    'secure-port': PORTS.api,
    'advertise-address': '127.0.0.1',
    'endpoint-reconciler-type': 'none',
    'service-cluster-ip-range': '10.96.0.0/16',
    'authorization-mode': 'Node,RBAC',
    'token-auth-file': pki('tokens.csv'),
    'kubelet-preferred-address-types': 'InternalIP',
    'tls-cert-file': pki('api.crt'),
    'tls-private-key-file': pki('api.key'),
    'client-ca-file': pki('ca.crt'),
    'cert-dir': join(folder, 'pki'),
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': pki('sa.pub'),
    'service-account-signing-key-file': pki('sa.key'),
    ...frontProxy,
  };
  const controllers = {
    ...loopback,
    'secure-port': PORTS.controllers,
    'use-service-account-credentials': true,
    'service-account-private-key-file': pki('sa.key'),
    'root-ca-file': pki('ca.crt'),
    'cluster-signing-cert-file': pki('ca.crt'),
    'cluster-signing-key-file': pki('ca.key'),
    'horizontal-pod-autoscaler-sync-period': '2s',
    'leader-elect': false,
  };
  const kwok = {
    config: join(BIN, 'kwok-stages.yaml'),
    kubeconfig,
    'manage-all-nodes': false,
    'manage-nodes-with-label-selector': 'type=kwok',
    'node-lease-duration-seconds': 40,
    'server-address': `127.0.0.1:${PORTS.kwok}`,
    'node-port': 0,
  };
  const store = {
    'data-dir': join(folder, 'etcd'),
    'listen-client-urls': etcd,
    'advertise-client-urls': etcd,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
    // What is in it goes with the test.
    'unsafe-no-fsync': true,
  };
  return [
    ['etcd', [join(BIN, 'etcd'), ...flags(store)]],
    ['api', [join(BIN, 'kube-apiserver'), ...flags(api)]],
    ['controllers', [join(BIN, 'kube-controller-manager'), ...flags(controllers)]],
    ['scheduler', [join(BIN, 'kube-scheduler'), ...flags({ ...loopback, 'secure-port': PORTS.scheduler, 'leader-elect': false })]],
    ['kwok', [join(BIN, 'kwok'), ...flags(kwok)]],
  ];
}

/** Repeats `look` until it gives something. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  withinMs = READY_WITHIN_MS,
): Promise<T> {
  for (const startedMs = performance.now(); ; ) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() - startedMs > withinMs) throw new Error(`${what}: not within ${withinMs} ms`);
    await pause(200);
  }
}

function pretendedNode(number: number): string {
  const resources = { cpu: '32', memory: '64Gi', pods: '110' };
  const labels = {
    type: 'kwok',
    'kubernetes.io/os': 'linux',
    'kubernetes.io/hostname': `pretended-${number}`,
    'topology.kubernetes.io/zone': `zone-${number}`,
  };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `pretended-${number}`, labels },
    status: { allocatable: resources, capacity: resources },
  });
}

export async function startControlPlane(o: { readonly folder: string; readonly pretendedNodes: number }): Promise<ControlPlane> {
  const { folder } = o;
  mkdirSync(join(folder, 'output'), { recursive: true });
  writeFileSync(join(folder, 'kubeconfig'), kubeconfigOf(folder, makeKeys(folder)), { mode: 0o600 });
  const env = { ...process.env, KUBECONFIG: join(folder, 'kubeconfig'), HELM_CACHE_HOME: join(folder, 'helm') };
  const running: { readonly name: string; readonly child: ChildProcess }[] = [];
  const answer = (program: string, args: readonly string[], input?: string): Answer => {
    const { status, stdout, stderr, error } = spawnSync(program, args, {
      env,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
      ...(input !== undefined && { input }),
    });
    if (error) throw error;
    return { code: status, stdout, stderr };
  };
  const orThrow = (name: string, args: readonly string[], { code, stdout, stderr }: Answer): string => {
    if (code !== 0) throw new Error(`${name} ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  };
  const tryKubectl = (args: readonly string[], input?: string) => answer(join(BIN, 'kubectl'), args, input);
  const tryHelm = (args: readonly string[]) => answer(HELM, args);
  const plane: ControlPlane = {
    folder,
    run: (name, [program = '', ...args]) => {
      const output = openSync(join(folder, 'output', `${name}.txt`), 'a');
      const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', output, output] });
      closeSync(output);
      running.push({ name, child });
    },
    end: (name) => {
      for (const one of running) if (one.name === name) one.child.kill('SIGTERM');
    },
    tryKubectl,
    kubectl: (args, input) => orThrow('kubectl', args, tryKubectl(args, input)),
    tryHelm,
    helm: (args) => orThrow('helm', args, tryHelm(args)),
    helmBeside: (args) =>
      new Promise((resolve, reject) => {
        execFile(HELM, [...args], { env }, (error) => (error ? reject(error) : resolve()));
      }),
    close: async () => {
      for (const { child } of running.splice(0).reverse()) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
        await gone;
        clearTimeout(late);
      }
    },
  };
  try {
    for (const [name, command] of commandsOf(folder)) {
      plane.run(name, command);
      if (name === 'api') await eventually('the API server', () => (tryKubectl(['get', '--raw', '/readyz']).code === 0 ? true : undefined));
    }
    for (let number = 1; number <= o.pretendedNodes; number++) plane.kubectl(['apply', '-f', '-'], pretendedNode(number));
    await eventually('nodes', () =>
      tryKubectl(['wait', '--for=condition=Ready', 'node', '--all', '--timeout=1s']).code === 0 ? true : undefined,
    );
    await eventually('accounts', () => (tryKubectl(['get', 'serviceaccount', 'default']).code === 0 ? true : undefined));
  } catch (error) {
    const output = running.map(({ name }) => join(folder, 'output', `${name}.txt`)).filter(existsSync);
    console.error(output.map((file) => `${file}:\n${readFileSync(file, 'utf8').split('\n').slice(-5).join('\n')}`).join('\n'));
    await plane.close();
    throw error;
  }
  return plane;
}
