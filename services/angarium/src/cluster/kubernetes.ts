import { CoreV1Api, KubeConfig, type V1Pod } from '@kubernetes/client-node';
import type { PodReport } from './status.ts';

const METRICS_PORT = 2080;

/** The API server that kubectl would ask: KUBECONFIG, ~/.kube/config, or the service account of a pod. */
function connect() {
  const config = new KubeConfig();
  config.loadFromDefault();
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace;
  return { api: config.makeApiClient(CoreV1Api), namespace: namespace ?? 'default' };
}

/** Lanes of a worker, by its metrics through the API server; undefined when it cannot be asked. */
async function lanesOf(api: CoreV1Api, namespace: string, pod: string): Promise<number | undefined> {
  try {
    const text: unknown = await api.connectGetNamespacedPodProxyWithPath({ name: `${pod}:${METRICS_PORT}`, namespace, path: 'metrics' });
    const lanes = /^angarium_delivery_lanes_live (\d+)$/m.exec(String(text))?.[1];
    return lanes === undefined ? undefined : Number(lanes);
  } catch {
    // The report says that it does not answer.
    return undefined;
  }
}

function reportOf({ metadata, spec, status }: V1Pod): PodReport {
  const [container] = status?.containerStatuses ?? [];
  return {
    pod: metadata?.name ?? '',
    service: metadata?.labels?.['app.kubernetes.io/component'] ?? '',
    node: spec?.nodeName ?? '',
    isReady: status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false,
    restarts: container?.restartCount ?? 0,
    startedAtMs: status?.startTime?.getTime() ?? 0,
    image: container?.imageID || (spec?.containers[0]?.image ?? ''),
    config: metadata?.annotations?.['checksum/config']?.slice(0, 12) ?? '',
  };
}

/**
 * The pods of a release, without those of its jobs. One call for the list and one for each delivery worker.
 *
 * @throws when the API server refuses or does not answer
 */
export async function readPods(release: string, namespace: string | undefined): Promise<readonly PodReport[]> {
  const { api, namespace: current } = connect();
  const where = namespace ?? current;
  const labelSelector = `app.kubernetes.io/instance=${release},app.kubernetes.io/component notin (topics,test)`;
  const { items } = await api.listNamespacedPod({ namespace: where, labelSelector });
  return Promise.all(
    items.map(async (pod) => {
      const report = reportOf(pod);
      const lanes = ['delivery', 'one'].includes(report.service) ? await lanesOf(api, where, report.pod) : undefined;
      return lanes === undefined ? report : { ...report, lanes };
    }),
  );
}
