import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { CRDS } from './cluster-tools.mjs';
import { type ControlPlane, eventually } from './control-plane.ts';
import type { Row } from './table.ts';

/* The chart on a real API server with real controllers; its pods only pretend to run. */

const deploy = new URL('../../deploy/', import.meta.url).pathname;
const CHART = join(deploy, 'chart');
const NAMESPACE = 'pretended';
const KINDS =
  'all,configmap,secret,serviceaccount,networkpolicy,poddisruptionbudget,horizontalpodautoscaler,podmonitor,prometheusrule,certificate,scaledobject,persistentvolumeclaim';
const METRIC_PORT = 24_020;

const values = (name: string) => ['-f', join(deploy, 'test-values', `${name}.yaml`)];
/** Pods only pretend on these nodes. */
const ON_PRETENDED = ['--set', 'pods.nodeSelector.type=kwok'];

function objectsIn({ kubectl }: ControlPlane): readonly string[] {
  return kubectl(['-n', NAMESPACE, 'get', KINDS, '-o', 'name'])
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

function prepare(plane: ControlPlane): void {
  const { kubectl } = plane;
  for (const file of readdirSync(CRDS)) kubectl(['apply', '--server-side', '-f', join(CRDS, file)]);
  kubectl(['create', 'namespace', NAMESPACE]);
  kubectl(['label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted']);
  kubectl(['create', 'priorityclass', 'mail', '--value=1000']);
  kubectl(['label', 'node', '-l', 'type=kwok', 'pool=mail']);
  makeClaim(plane);
}

/** The claim that a set of values names. */
function makeClaim({ kubectl }: ControlPlane): void {
  const resources = { storage: '1Gi' };
  const shared = { accessModes: ['ReadWriteMany'], storageClassName: '' };
  const volume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'bodies' },
    spec: { ...shared, capacity: resources, hostPath: { path: '/bodies' } },
  };
  const claim = {
    ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'bodies', namespace: NAMESPACE } },
    spec: { ...shared, volumeName: 'bodies', resources: { requests: resources } },
  };
  for (const object of [volume, claim]) kubectl(['apply', '-f', '-'], JSON.stringify(object));
}

/** Every object of every set of values, as the API server checks it. */
async function admitted(plane: ControlPlane): Promise<Row> {
  await eventually('definitions', () =>
    plane.tryKubectl(['get', 'scaledobject,podmonitor,prometheusrule,certificate', '-A']).code === 0 ? true : undefined,
  );
  const names = readdirSync(join(deploy, 'test-values')).map((file) => file.replace('.yaml', ''));
  let count = 0;
  for (const name of names) {
    const rendered = plane.helm(['template', 'r', CHART, '-n', NAMESPACE, ...values(name)]);
    const applied = plane.kubectl(['-n', NAMESPACE, 'apply', '--dry-run=server', '--validate=strict', '-f', '-'], rendered);
    count += applied.trim().split('\n').length;
  }
  return {
    what: 'every object of every set of values, strictly checked by the API server, other operators’ kinds too',
    shown: `${count} objects of ${names.length} sets admitted`,
  };
}

/** Install, upgrade, rollback, test, uninstall: nothing stays. */
async function lifecycle(plane: ControlPlane): Promise<Row[]> {
  const { helm, kubectl } = plane;
  const before = objectsIn(plane);
  const seconds = (work: () => void): string => {
    const startedMs = performance.now();
    work();
    return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  };
  const set = [
    ...values('everything'),
    ...ON_PRETENDED,
    '--set',
    'delivery.autoscaling.mode=off',
    '-n',
    NAMESPACE,
    '--wait',
    '--timeout',
    '90s',
  ];
  const installed = seconds(() => helm(['install', 'r', CHART, ...set]));
  const replicas = () => kubectl(['-n', NAMESPACE, 'get', 'deploy', 'r-mail-routing', '-o', 'jsonpath={.status.readyReplicas}']);
  assert.equal(replicas(), '2');
  const upgraded = seconds(() => helm(['upgrade', 'r', CHART, ...set, '--set', 'routing.replicas=3']));
  assert.equal(replicas(), '3');
  const back = seconds(() => helm(['rollback', 'r', '1', '-n', NAMESPACE, '--wait', '--timeout', '90s']));
  assert.equal(replicas(), '2');
  const tested = seconds(() => helm(['test', 'r', '-n', NAMESPACE, '--timeout', '60s']));
  const rows = [privileges(plane), budget(plane)];
  const gone = seconds(() => helm(['uninstall', 'r', '-n', NAMESPACE, '--wait']));
  const after = await eventually('nothing left', () => {
    const left = objectsIn(plane);
    return left.length === before.length ? left : undefined;
  });
  assert.deepEqual(after, before);
  const shown = `${installed}, ${upgraded}, ${back}, ${tested}, ${gone}; nothing left`;
  return [{ what: 'helm install, upgrade, rollback, test, uninstall under PodSecurity `restricted`', shown }, ...rows];
}

/** What the service account of all pods may do: what anybody may. */
function privileges({ kubectl, tryKubectl }: ControlPlane): Row {
  const account = `--as=system:serviceaccount:${NAMESPACE}:r-mail`;
  const asked = [
    'get pods',
    'list secrets',
    'get configmaps',
    'create leases.coordination.k8s.io',
    'update deployments/scale',
    'get nodes',
    'patch pods',
  ];
  for (const question of asked) {
    const { code } = tryKubectl(['-n', NAMESPACE, 'auth', 'can-i', ...question.split(' '), account]);
    assert.notEqual(code, 0, question);
  }
  const specs = kubectl(['-n', NAMESPACE, 'get', 'pods', '-o', 'jsonpath={.items[*].spec.automountServiceAccountToken}']).split(' ');
  assert.ok(specs.length > 0 && specs.every((value) => value === 'false'));
  return { what: 'what the pods’ service account may do', shown: `nothing: refused ${asked.join(', ')}; no pod has a token` };
}

function evict({ tryKubectl }: ControlPlane, pod: string): string {
  const body = JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod, namespace: NAMESPACE } });
  const { code, stderr } = tryKubectl(['create', '--raw', `/api/v1/namespaces/${NAMESPACE}/pods/${pod}/eviction`, '-f', '-'], body);
  return code === 0 ? 'gone' : stderr;
}

/** A budget lets one pod go; while that one is missing, no second. */
function budget(plane: ControlPlane): Row {
  const { kubectl } = plane;
  const pods = kubectl(['-n', NAMESPACE, 'get', 'pods', '-l', 'app.kubernetes.io/component=delivery', '-o', 'name'])
    .trim()
    .split('\n')
    .map((name) => name.replace('pod/', ''));
  const [first = '', second = ''] = pods;
  // Nothing takes the place of the one that goes.
  kubectl([
    'cordon',
    ...kubectl(['get', 'nodes', '-l', 'type=kwok', '-o', 'name'])
      .trim()
      .split('\n')
      .map((name) => name.replace('node/', '')),
  ]);
  assert.equal(evict(plane, first), 'gone');
  const refusal = evict(plane, second);
  assert.match(refusal, /disruption budget/);
  kubectl([
    'uncordon',
    ...kubectl(['get', 'nodes', '-l', 'type=kwok', '-o', 'name'])
      .trim()
      .split('\n')
      .map((name) => name.replace('node/', '')),
  ]);
  kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deploy/r-mail-delivery', '--timeout=60s']);
  return {
    what: 'drain of nodes with delivery workers',
    shown: 'the budget lets one go and refuses the second until the first is replaced',
  };
}

/** The number that delivery wants, from a stand-in for its scaler. */
function serveMetric(folder: string): { set(value: string | undefined): void; close(): Promise<void> } {
  let value: string | undefined = '2';
  const [key, cert] = ['api.key', 'api.crt'].map((name) => readFileSync(join(folder, 'pki', name)));
  const BASE = '/apis/external.metrics.k8s.io/v1beta1';
  const server = createServer({ key, cert } as { key: Buffer; cert: Buffer }, (request, response) => {
    const send = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const path = request.url?.split('?')[0] ?? '';
    const group = { apiVersion: 'external.metrics.k8s.io/v1beta1', metadata: {} };
    if (path.startsWith(`${BASE}/namespaces/`)) {
      const items =
        value === undefined ? [] : [{ metricName: path.split('/').at(-1), metricLabels: {}, timestamp: new Date().toISOString(), value }];
      return send(200, { ...group, kind: 'ExternalMetricValueList', items });
    }
    const resources = [{ name: 'externalmetrics', singularName: '', namespaced: true, kind: 'ExternalMetricValueList', verbs: ['get'] }];
    if (path === BASE)
      return send(200, { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'external.metrics.k8s.io/v1beta1', resources });
    return send(path.startsWith('/openapi') ? 404 : 200, {});
  }).listen(METRIC_PORT, '127.0.0.1');
  return {
    set: (next) => {
      value = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The autoscaler gives as many workers as are wanted, goes down one at a time, and stays where it is without a number. */
async function scaling(plane: ControlPlane): Promise<Row> {
  const { helm, kubectl } = plane;
  const metric = serveMetric(plane.folder);
  try {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'metric', namespace: NAMESPACE },
      spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port: METRIC_PORT }] },
    };
    const api = {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name: 'v1beta1.external.metrics.k8s.io' },
      spec: {
        group: 'external.metrics.k8s.io',
        version: 'v1beta1',
        groupPriorityMinimum: 100,
        versionPriority: 100,
        insecureSkipTLSVerify: true,
        service: { name: 'metric', namespace: NAMESPACE, port: METRIC_PORT },
      },
    };
    for (const object of [service, api]) kubectl(['apply', '-f', '-'], JSON.stringify(object));
    const quick = [
      'delivery.autoscaling.apiService=false',
      'delivery.autoscaling.scaleInEverySeconds=2',
      'delivery.autoscaling.scaleInAfterSeconds=0',
    ];
    helm([
      'install',
      'r',
      CHART,
      ...values('everything'),
      ...ON_PRETENDED,
      ...quick.flatMap((one) => ['--set', one]),
      '-n',
      NAMESPACE,
      '--wait',
      '--timeout',
      '90s',
    ]);
    const replicas = () => Number(kubectl(['-n', NAMESPACE, 'get', 'deploy', 'r-mail-delivery', '-o', 'jsonpath={.spec.replicas}']));
    const reaches = (wanted: number) => eventually(`${wanted} workers`, () => (replicas() === wanted ? true : undefined), 60_000);
    await reaches(2);
    metric.set('9');
    const outMs = performance.now();
    await reaches(9);
    const tookS = ((performance.now() - outMs) / 1000).toFixed(1);
    metric.set(undefined);
    const heldMs = performance.now();
    await eventually(
      'a number that is missing is noticed',
      () => {
        assert.equal(replicas(), 9);
        const text = kubectl([
          '-n',
          NAMESPACE,
          'get',
          'hpa',
          'r-mail-delivery',
          '-o',
          'jsonpath={.status.conditions[?(@.type=="ScalingActive")].status}',
        ]);
        return text === 'False' && performance.now() - heldMs > 5000 ? true : undefined;
      },
      30_000,
    );
    metric.set('3');
    const steps = new Set<number>();
    await eventually(
      '3 workers',
      () => {
        steps.add(replicas());
        return replicas() === 3 ? true : undefined;
      },
      60_000,
    );
    const seen = [...steps].sort((a, b) => b - a);
    helm(['uninstall', 'r', '-n', NAMESPACE, '--wait']);
    kubectl(['delete', 'apiservice', 'v1beta1.external.metrics.k8s.io']);
    kubectl(['-n', NAMESPACE, 'delete', 'service', 'metric']);
    return {
      what: 'HorizontalPodAutoscaler on the external metric',
      shown: `2 → 9 in ${tookS} s; without a number it stays at 9; 9 → 3 by ${seen.join(', ')}`,
    };
  } finally {
    await metric.close();
  }
}

export async function runPretended(plane: ControlPlane): Promise<readonly Row[]> {
  prepare(plane);
  try {
    return [await admitted(plane), ...(await lifecycle(plane)), await scaling(plane)];
  } catch (error) {
    console.error(plane.tryKubectl(['get', 'events', '-A', '--sort-by=.lastTimestamp']).stdout.split('\n').slice(-15).join('\n'));
    throw error;
  }
}
