import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '@angarium/runtime';
import { parseAllDocuments } from 'yaml';
import { chartToolsMissing, HELM, VALIDATE } from './chart-tools.mjs';

const deploy = new URL('../../deploy/', import.meta.url).pathname;
const CHART = join(deploy, 'chart');
const VALUES = readdirSync(join(deploy, 'test-values')).map((file) => file.replace('.yaml', ''));
/** The oldest that Chart.yaml takes, and the newest that there are schemas for. */
const VERSIONS = ['1.30', '1.37'];
/** Kinds that other operators bring; a real API server with their definitions checks them (npm run test:kubernetes). */
const FOREIGN = ['Certificate', 'PodMonitor', 'PrometheusRule', 'ScaledObject'];

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: PodSpec & { readonly template?: { readonly spec: PodSpec } };
}
interface PodSpec {
  readonly automountServiceAccountToken?: boolean;
  readonly hostNetwork?: boolean;
  readonly securityContext?: { readonly runAsNonRoot?: boolean; readonly seccompProfile?: { readonly type: string } };
  readonly containers?: readonly {
    readonly resources: { readonly limits?: object; readonly requests?: object };
    readonly securityContext: {
      readonly allowPrivilegeEscalation: boolean;
      readonly readOnlyRootFilesystem: boolean;
      readonly capabilities: { readonly drop: readonly string[] };
    };
  }[];
  readonly terminationGracePeriodSeconds?: number;
}

const skip = chartToolsMissing();
const folder = mkdtempSync(join(tmpdir(), 'angarium-chart-'));
after(() => rmSync(folder, { recursive: true }));

function helm(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(HELM, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  return { isGood: status === 0, stdout, stderr };
}
const withValues = (name: string) => ['-f', join(deploy, 'test-values', `${name}.yaml`)];

function render(name: string, version = '1.37'): string {
  const { isGood, stdout, stderr } = helm('template', 'r', CHART, '--kube-version', `${version}.0`, ...withValues(name));
  assert.ok(isGood, stderr);
  return stdout;
}
const manifestsOf = (text: string) =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);

for (const name of VALUES) {
  test(`the chart with ${name}.yaml has no fault that helm lint finds`, { skip }, () => {
    const { isGood, stdout, stderr } = helm('lint', '--strict', CHART, ...withValues(name));
    assert.ok(isGood, `${stdout}${stderr}`);
  });

  test(`the chart with ${name}.yaml keeps to the strict schemas of Kubernetes ${VERSIONS.join(' and ')}`, { skip }, () => {
    for (const version of VERSIONS) {
      const file = join(folder, `${name}-${version}.yaml`);
      writeFileSync(file, render(name, version));
      const { status, stdout, stderr } = spawnSync(VALIDATE, ['-k', version, '--strict', file], { encoding: 'utf8' });
      assert.equal(status, 0, `${stdout}${stderr}`);
      const unknown = [...`${stdout}${stderr}`.matchAll(/find schema for kind (\w+)/g)].map(([, kind]) => kind);
      assert.deepEqual(
        unknown.filter((kind) => !FOREIGN.includes(kind ?? '')),
        [],
      );
    }
  });

  test(`every pod of ${name}.yaml is hardened and holds no token`, { skip }, () => {
    const specs = manifestsOf(render(name)).flatMap(({ kind, spec }) => (kind === 'Pod' && spec ? [spec] : (spec?.template?.spec ?? [])));
    assert.ok(specs.length > 0);
    for (const spec of specs) {
      assert.equal(spec.automountServiceAccountToken, false);
      assert.equal(spec.hostNetwork ?? false, name === 'host-network' && spec.hostNetwork === true);
      assert.equal(spec.securityContext?.runAsNonRoot, true);
      assert.equal(spec.securityContext?.seccompProfile?.type, 'RuntimeDefault');
      for (const { resources, securityContext } of spec.containers ?? []) {
        assert.ok(resources.limits !== undefined && resources.requests !== undefined);
        const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = securityContext;
        assert.deepEqual([allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities.drop], [false, true, ['ALL']]);
      }
    }
  });

  test(`the configuration of ${name}.yaml is one that Angarium takes`, { skip }, () => {
    const text = manifestsOf(render(name)).find(({ data }) => data?.['angarium.yaml'] !== undefined)?.data?.['angarium.yaml'] ?? '';
    const loaded = loadConfig({ file: { name: 'angarium.yaml', text }, environment: {} });
    assert.deepEqual(loaded.is === 'invalid' ? loaded.errors : [], []);
  });
}

test('a worker has more time to stop than it may take', { skip }, () => {
  const manifests = manifestsOf(render('minimal'));
  const text = manifests.find(({ data }) => data?.['angarium.yaml'] !== undefined)?.data?.['angarium.yaml'] ?? '';
  const loaded = loadConfig({ file: { name: 'angarium.yaml', text }, environment: {} });
  assert.ok(loaded.is === 'valid');
  const { stopMs, delivery } = loaded.config;
  const grace = (role: string) =>
    manifests.find(({ metadata, spec }) => metadata.name === `r-angarium-${role}` && spec?.template !== undefined)?.spec?.template?.spec
      .terminationGracePeriodSeconds ?? 0;
  assert.ok(grace('delivery') * 1000 > stopMs + delivery.graceMs);
  for (const role of ['ingress', 'routing', 'mailbox']) assert.ok(grace(role) * 1000 > stopMs + 10_000, role);
});

const MISTAKES: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['a key that does not exist', ['ingress.replica=3'], /additional properties 'replica' not allowed/],
  ['a mistyped key of the configuration', ['config.delivery.retryMss=3'], /retryMss/],
  ['a text for a number', ['ingress.replicas="two"'], /got string, want integer/],
  ['no brokers', ['config.kafka.brokers=[]'], /name the brokers of a Kafka cluster/],
  ['no database', ['config.postgres.host=""'], /config\.postgres: name a PostgreSQL server|minLength/],
  ['no place for large messages', ['config.blobs.engine="files"'], /large messages need a place/],
  ['more workers than lanes', ['delivery.replicas=17'], /17 workers are more than config\.journal\.lanes \(16\)/],
  ['two mailboxes on one disk', ['mailbox.replicas=2'], /storeEngine: postgres/],
  ['a PROXY header from anybody', ['ingress.proxyProtocol.enabled=true'], /name the networks of the balancer/],
  ['a secret without a name', ['tls.source="secret"'], /tls\.secretName/],
  ['an issuer without a name', ['tls.source="certManager"'], /tls\.issuerRef\.name/],
];
for (const [what, sets, message] of MISTAKES) {
  test(`${what} is refused before anything is installed`, { skip }, () => {
    const { isGood, stderr } = helm('template', 'r', CHART, ...withValues('minimal'), ...sets.flatMap((set) => ['--set-json', set]));
    assert.equal(isGood, false);
    assert.match(stderr, message);
  });
}

test('the plain manifests are what the chart renders', { skip }, () => {
  for (const name of ['one-pod', 'minimal'])
    assert.equal(readFileSync(join(deploy, 'manifests', `${name}.yaml`), 'utf8'), render(name), `${name}: npm run manifests`);
});
