import {
  DirectoryAdminService,
  DirectoryService,
  MailboxService,
  QueueService,
  QuotaService,
  Refused,
  type RpcServices,
  Unavailable,
} from '@angarium/rpc';
import { type Histogram, type Metrics, type MetricTable, registerMeters } from '@angarium/runtime';

const DEFINITIONS = {
  directory: DirectoryService,
  directoryAdmin: DirectoryAdminService,
  mailbox: MailboxService,
  queue: QueueService,
  quota: QuotaService,
} as const;
type ServiceName = keyof typeof DEFINITIONS;

/** "Directory/Check" of "/angarium.directory.v1.Directory/Check", by the names that the ports have for them. */
const methodsOf = (service: ServiceName): readonly (readonly [name: string, method: string])[] =>
  Object.entries(DEFINITIONS[service]).map(([name, { path }]) => [name, path.slice(path.lastIndexOf('.') + 1)] as const);

const labels = {
  method: (Object.keys(DEFINITIONS) as ServiceName[]).flatMap((service) => methodsOf(service).map(([, method]) => method)),
  status: ['ok', 'refused', 'unavailable', 'failed'],
} as const;
const buckets = [0.005, 0.025, 0.1, 0.5, 2.5, 10];

export const RPC_METERS = {
  client: {
    kind: 'histogram',
    name: 'angarium_rpc_client_call_seconds',
    help: 'Time of a call to another process, its repeats included; unavailable: it gave no answer in time, or none at all.',
    labels,
    buckets,
  },
  server: {
    kind: 'histogram',
    name: 'angarium_rpc_server_call_seconds',
    help: 'Time of a call by another process; failed: by a fault that is logged.',
    labels,
    buckets,
  },
} as const satisfies MetricTable;

const statusOf = (error: unknown): (typeof labels.status)[number] =>
  error instanceof Refused ? 'refused' : error instanceof Unavailable ? 'unavailable' : 'failed';

type Method = (request?: unknown) => Promise<unknown>;

function timed(call: Method, method: string, seconds: Histogram): Method {
  return async (request) => {
    const startMs = performance.now();
    let status: (typeof labels.status)[number] = 'ok';
    try {
      return await call(request);
    } catch (error) {
      status = statusOf(error);
      throw error;
    } finally {
      seconds.observe((performance.now() - startMs) / 1000, { method, status });
    }
  };
}

function measure<T extends object>(port: T, service: ServiceName, seconds: Histogram): T {
  const methods = port as Readonly<Record<string, Method | undefined>>;
  const measured = methodsOf(service).flatMap(([name, method]) => {
    const call = methods[name];
    return call === undefined ? [] : [[name, timed(call.bind(port), method, seconds)] as const];
  });
  return { ...port, ...Object.fromEntries(measured) };
}

/** A client with its calls measured. */
export const measuredClient = <T extends object>(metrics: Metrics, service: ServiceName, client: T): T =>
  measure(client, service, registerMeters(metrics, RPC_METERS).client);

/** Services with their calls measured, before they are served. */
export function measuredServices(metrics: Metrics, services: RpcServices): RpcServices {
  const { server } = registerMeters(metrics, RPC_METERS);
  const measured = (Object.keys(DEFINITIONS) as ServiceName[]).flatMap((service) => {
    const port = services[service];
    return port === undefined ? [] : [[service, measure(port, service, server)] as const];
  });
  return { ...services, ...Object.fromEntries(measured) };
}
