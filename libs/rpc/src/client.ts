import { Client, type ClientDuplexStream, type ServiceDefinition, type ServiceError } from '@grpc/grpc-js';
import { channelCredentials, type RpcAddress, targetOf } from './address.ts';
import { DirectoryAdminService } from './gen/angarium/directory/v1/admin.ts';
import { DirectoryService } from './gen/angarium/directory/v1/directory.ts';
import { type DeliverRequest, type DeliverResponse, MailboxService } from './gen/angarium/mailbox/v1/mailbox.ts';
import { QueueService } from './gen/angarium/queue/v1/queue.ts';
import { QuotaService } from './gen/angarium/quota/v1/quota.ts';
import { type Directory, type DirectoryAdmin, type Mailbox, type Queue, type Quota, Unavailable } from './ports.ts';
import { MAX_MESSAGE_OCTETS } from './server.ts';
import { fromStatus } from './status.ts';

export interface RpcClientOptions extends RpcAddress {
  /** A call that takes longer rejects with `Unavailable`. */
  readonly timeoutMs: number;
  /**
   * While calls run, the peer is asked for a sign of life after this silence, and given up when none comes in half of it: a host
   * that vanished without a word holds nothing up.
   *
   * @defaultValue 10 s
   */
  readonly keepaliveMs?: number;
}

const KEEPALIVE_MS = 10_000;

/** A name that has fewer addresses now, or more, is looked up again after this. */
const RESOLVE_AGAIN_MS = 5000;
/**
 * Calls go to all servers by turns, each that answers. Questions to the directory change nothing: one that found a server gone
 * is asked again, most likely to another one.
 */
const SERVICE_CONFIG = JSON.stringify({
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: 'angarium.directory.v1.Directory' }],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: '0.05s',
        maxBackoff: '0.5s',
        backoffMultiplier: 3,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
});

type Closable<T> = T & { close(): void };

async function connect(options: RpcClientOptions): Promise<Client> {
  const { keepaliveMs = KEEPALIVE_MS } = options;
  return new Client(targetOf(options.address), await channelCredentials(options.tls), {
    'grpc.max_receive_message_length': MAX_MESSAGE_OCTETS,
    'grpc.max_send_message_length': MAX_MESSAGE_OCTETS,
    'grpc.service_config': SERVICE_CONFIG,
    'grpc.service_config_disable_resolution': 1,
    'grpc.dns_min_time_between_resolutions_ms': RESOLVE_AGAIN_MS,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2000,
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': keepaliveMs / 2,
    ...(options.tls?.peerName && { 'grpc.ssl_target_name_override': options.tls.peerName }),
  });
}

/** A port's methods over one channel; `T` must be the port of `definition`. */
async function unaryClient<T extends object>(definition: ServiceDefinition, options: RpcClientOptions): Promise<Closable<T>> {
  const client = await connect(options);
  const methods = Object.entries(definition).map(([name, { path, requestSerialize, responseDeserialize }]) => {
    const call = (request: unknown = {}) =>
      new Promise((resolve, reject) => {
        const deadline = Date.now() + options.timeoutMs;
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline }, (error, response) =>
          error ? reject(fromStatus(error)) : resolve(response),
        );
      });
    return [name, call] as const;
  });
  return { ...(Object.fromEntries(methods) as T), close: () => client.close() };
}

export const connectDirectory = (options: RpcClientOptions) => unaryClient<Directory>(DirectoryService, options);
export const connectDirectoryAdmin = (options: RpcClientOptions) => unaryClient<DirectoryAdmin>(DirectoryAdminService, options);
export const connectQueue = (options: RpcClientOptions) => unaryClient<Queue>(QueueService, options);
export const connectQuota = (options: RpcClientOptions) => unaryClient<Quota>(QuotaService, options);

interface Pending {
  readonly resolve: (response: DeliverResponse) => void;
  readonly reject: (error: Error) => void;
  readonly deadlineMs: number;
}

/**
 * The mailbox service over one stream that is opened when needed and again after it breaks. Deliveries that were on a
 * broken stream reject with `Unavailable`: they may have been stored, and a repeat stores nothing twice.
 */
export async function connectMailbox(options: RpcClientOptions): Promise<Closable<Mailbox>> {
  const client = await connect(options);
  const pending = new Map<number, Pending>();
  const { path, requestSerialize, responseDeserialize } = MailboxService.deliver;
  let stream: ClientDuplexStream<DeliverRequest, DeliverResponse> | undefined;
  let nextId = 1;

  const fail = (error: Error) => {
    stream = undefined;
    for (const waiting of pending.values()) waiting.reject(error);
    pending.clear();
  };
  const open = () => {
    const opened = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    opened.on('data', (response: DeliverResponse) => {
      pending.get(response.id)?.resolve(response);
      pending.delete(response.id);
    });
    opened.on('error', (error: ServiceError) => opened === stream && fail(fromStatus(error)));
    opened.on('end', () => opened === stream && fail(new Unavailable('the mailbox service ended the stream')));
    return opened;
  };
  // One sweep for all: requests have one time-out, so the first pending one is the oldest.
  const sweep = setInterval(() => {
    for (const [id, { deadlineMs, reject }] of pending) {
      if (deadlineMs > Date.now()) break;
      pending.delete(id);
      reject(new Unavailable(`no answer in ${options.timeoutMs} ms`));
    }
  }, SWEEP_MS);
  sweep.unref();
  return {
    deliver: (request) =>
      new Promise((resolve, reject) => {
        stream ??= open();
        const id = nextId++;
        pending.set(id, { resolve, reject, deadlineMs: Date.now() + options.timeoutMs });
        stream.write({ ...request, id });
      }),
    close: () => {
      clearInterval(sweep);
      stream?.cancel();
      client.close();
    },
  };
}

const SWEEP_MS = 500;
