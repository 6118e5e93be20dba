import { configSchema } from '@angarium/runtime';
import { z } from 'zod';

/* The values of the chart. values.yaml says what each is for; the schema that Helm checks them by is made from this. */

const name = z.string().max(253);
const texts = z.record(z.string(), z.string());
/** Kubernetes' own shapes: the API server knows them best. */
const objects = z.array(z.looseObject({}));
const count = z.int().min(0);
const port = z.int().min(1).max(65_535);
const secretKey = z.strictObject({ name, key: z.string().min(1) });
const cidr = z.string().regex(/^[0-9a-fA-F.:]+\/\d{1,3}$/);

const pod = {
  annotations: texts,
  labels: texts,
  nodeSelector: texts,
  tolerations: objects,
  affinity: z.looseObject({}),
  priorityClassName: z.string(),
  extraEnv: objects,
  extraVolumes: objects,
  extraVolumeMounts: objects,
  topologySpreadConstraints: objects,
};
const service = {
  resources: z.looseObject({}),
  preStopSeconds: z.int().min(0).max(60),
  terminationGracePeriodSeconds: z.int().min(10).max(3600),
  pod: z.strictObject(pod).partial(),
};
const pdb = z.strictObject({ enabled: z.boolean(), maxUnavailable: z.union([z.int().min(1), z.string().regex(/^\d{1,2}%$/)]) });
const persistence = z.strictObject({
  size: z.string().regex(/^\d+(Mi|Gi|Ti)$/),
  storageClass: z.string(),
  whenDeleted: z.enum(['Retain', 'Delete']),
});
const frontService = (ports: z.ZodObject) =>
  z.strictObject({
    type: z.enum(['LoadBalancer', 'NodePort', 'ClusterIP']),
    externalTrafficPolicy: z.enum(['Local', 'Cluster']),
    annotations: texts,
    loadBalancerClass: z.string(),
    loadBalancerSourceRanges: z.array(cidr),
    ipFamilyPolicy: z.enum(['SingleStack', 'PreferDualStack', 'RequireDualStack']),
    ports,
  });
const issuerRef = z.strictObject({ name, kind: z.enum(['Issuer', 'ClusterIssuer']), group: z.string() }).partial();
const scaling = { minReplicas: z.int().min(1), maxReplicas: z.int().min(1), targetCPUUtilizationPercentage: z.int().min(1).max(100) };

const valuesSchema = z.strictObject({
  mode: z.enum(['cluster', 'one']),
  nameOverride: name,
  fullnameOverride: name,
  hostname: z.string().min(1),
  config: configSchema,
  listenHost: z.enum(['0.0.0.0', '[::]']),
  global: z.looseObject({ imageRegistry: z.string() }),
  image: z.strictObject({
    repository: z.string().min(1),
    tag: z.string(),
    digest: z.string().regex(/^(sha256:[0-9a-f]{64})?$/),
    pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
    pullSecrets: z.array(name),
  }),
  serviceAccount: z.strictObject({ annotations: texts }),
  kafka: z.strictObject({ createTopics: z.boolean(), passwordSecret: secretKey, authoritySecret: name }),
  postgres: z.strictObject({ passwordSecret: secretKey, authoritySecret: name }),
  s3: z.strictObject({ credentialsSecret: secretKey, authoritySecret: name }),
  blobs: z.strictObject({ existingClaim: name }),
  tls: z.strictObject({ source: z.enum(['self', 'secret', 'certManager']), secretName: name, issuerRef, dnsNames: z.array(name) }),
  rpcTls: z.strictObject({ source: z.enum(['generated', 'secret', 'certManager']), secretName: name, issuerRef }),
  pods: z.strictObject(pod),
  ingress: z.strictObject({
    ...service,
    replicas: count,
    pdb,
    autoscaling: z.strictObject({ enabled: z.boolean(), ...scaling }),
    service: frontService(z.strictObject({ mx: port, submission: port, submissions: port })),
    proxyProtocol: z.strictObject({ enabled: z.boolean(), networks: z.array(cidr) }),
  }),
  routing: z.strictObject({ ...service, replicas: count, pdb }),
  delivery: z.strictObject({
    ...service,
    replicas: count,
    pdb,
    egress: z.enum(['pod', 'host']),
    autoscaling: z.strictObject({
      ...scaling,
      mode: z.enum(['off', 'cpu', 'external', 'keda']),
      apiService: z.boolean(),
      scaleInEverySeconds: z.int().min(1).max(1800),
      scaleInAfterSeconds: z.int().min(0).max(3600),
    }),
  }),
  scaler: z.strictObject(service),
  mailbox: z.strictObject({
    ...service,
    replicas: count,
    pdb,
    persistence,
    service: frontService(z.strictObject({ pop3: port, pop3s: port })),
  }),
  one: z.strictObject({ ...service, persistence }),
  networkPolicy: z.strictObject({ enabled: z.boolean(), metricsFrom: objects, extraEgressPorts: z.array(port) }),
  monitoring: z.strictObject({
    podMonitor: z.strictObject({ enabled: z.boolean(), interval: z.string().regex(/^\d+(ms|s|m)$/), labels: texts }),
    rules: z.strictObject({ enabled: z.boolean(), labels: texts, runbookBase: z.string() }),
    dashboards: z.strictObject({ enabled: z.boolean(), labels: texts, annotations: texts }),
  }),
  extraObjects: objects,
});

/** Without what a section must have: the chart adds what it knows, and the process tells what is still missing. */
function partial(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(partial);
  if (typeof schema !== 'object' || schema === null) return schema;
  const isObject = 'properties' in schema;
  return Object.fromEntries(
    Object.entries(schema).flatMap(([key, value]) => (isObject && key === 'required' ? [] : [[key, partial(value)]])),
  );
}

/**
 * deploy/chart/values.schema.json. Helm checks the values of a user laid over values.yaml, which has every key. A mistake in `config`
 * is found here, before a pod is made; what no single key can tell is left to the chart and to the process.
 */
export function valuesJsonSchema(): string {
  const options = { target: 'draft-7', io: 'input', unrepresentable: 'any' } as const;
  const schema = z.toJSONSchema(valuesSchema, options);
  const properties = { ...schema.properties, config: partial(schema.properties?.config) };
  return `${JSON.stringify({ ...schema, properties }, null, 1)}\n`;
}
