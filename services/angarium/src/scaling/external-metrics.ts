import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TlsSource } from '@angarium/runtime';

const GROUP = 'external.metrics.k8s.io';
const VERSION = `${GROUP}/v1beta1`;
const BASE = `/apis/${VERSION}`;

export interface ExternalMetricsOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsSource;
  readonly name: string;
  readonly value: () => number;
  readonly nowMs: () => number;
}

/** What the API server asks for at the path; undefined: nothing is there. */
function answerTo(path: string, { name, value, nowMs }: ExternalMetricsOptions): object | undefined {
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: [] };
  if (path === BASE) {
    const resource = { name, singularName: '', namespaced: true, kind: 'ExternalMetricValueList', verbs: ['get'] };
    return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: VERSION, resources: [resource] };
  }
  const asked = new RegExp(`^${BASE}/namespaces/[^/]+/([^/]+)$`).exec(path)?.[1];
  if (asked !== name) return undefined;
  const item = { metricName: name, metricLabels: {}, timestamp: new Date(nowMs()).toISOString(), value: String(value()) };
  return { kind: 'ExternalMetricValueList', apiVersion: VERSION, metadata: {}, items: [item] };
}

/**
 * Serves the number as Kubernetes' external metrics API, which its API server asks in the autoscaler's name. Whoever reaches it may
 * read it: it is one number. A renewed certificate is served from the next connection on.
 */
export async function serveExternalMetrics(options: ExternalMetricsOptions): Promise<{ readonly port: number; close(): Promise<void> }> {
  const { tls, host, port } = options;
  const server = createServer(tls.current(), (request, response) => {
    const body = answerTo(request.url?.split('?')[0] ?? '', options);
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}));
  });
  const end = tls.onChange(() => server.setSecureContext(tls.current()));
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        end();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
