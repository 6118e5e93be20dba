import { Client, type ClientDuplexStream, type ServiceDefinition, type ServiceError } from '@grpc/grpc-js';
import { type RpcAddress, targetOf } from './address.ts';
import { channelCredentials } from './certificates.ts';
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
  const { credentials, close } = await channelCredentials(options.tls);
  const client = new Client(targetOf(options.address), credentials, {
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
  return Object.assign(client, {
    close() {
      close();
      Client.prototype.close.call(client);
    },
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

type DeliverStream = ClientDuplexStream<DeliverRequest, DeliverResponse>;

interface Pending {
  readonly stream: DeliverStream;
  readonly resolve: (response: DeliverResponse) => void;
  readonly reject: (error: Error) => void;
  readonly deadlineMs: number;
}

const SWEEP_MS = 500;

/** Deliveries that are not answered, by their id. */
function createUnanswered(timeoutMs: number) {
  const pending = new Map<number, Pending>();
  // One sweep for all: requests have one time-out, so the first pending one is the oldest.
  const sweep = setInterval(() => {
    for (const [id, { deadlineMs, reject }] of pending) {
      if (deadlineMs > Date.now()) break;
      pending.delete(id);
      reject(new Unavailable(`no answer in ${timeoutMs} ms`));
    }
  }, SWEEP_MS);
  sweep.unref();
  return {
    add: (id: number, waiting: Pending) => void pending.set(id, waiting),
    answer(response: DeliverResponse): void {
      pending.get(response.id)?.resolve(response);
      pending.delete(response.id);
    },
    /** All that went by this stream. */
    fail(stream: DeliverStream, error: Error): void {
      for (const [id, waiting] of pending) {
        if (waiting.stream !== stream) continue;
        pending.delete(id);
        waiting.reject(error);
      }
    },
    close: () => clearInterval(sweep),
  };
}

/** A stream takes so many deliveries, for so long; the next ones go by another, most likely to another process. */
const [STREAM_DELIVERIES, STREAM_MS] = [64, 500];

/**
 * The mailbox service. Deliveries go by streams that are opened when needed, each to the next server by turns and for a short while,
 * so that all servers share the work of one client. Deliveries that were on a broken stream reject with `Unavailable`: they may have
 * been stored, and a repeat stores nothing twice.
 */
export async function connectMailbox(options: RpcClientOptions): Promise<Closable<Mailbox>> {
  const client = await connect(options);
  const unanswered = createUnanswered(options.timeoutMs);
  const streams = new Set<DeliverStream>();
  const { path, requestSerialize, responseDeserialize } = MailboxService.deliver;
  let current: { readonly stream: DeliverStream; readonly openedMs: number; deliveries: number } | undefined;
  let nextId = 1;

  const open = (): DeliverStream => {
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const end = (error: Error) => {
      streams.delete(stream);
      if (current?.stream === stream) current = undefined;
      unanswered.fail(stream, error);
    };
    streams.add(stream);
    stream.on('data', unanswered.answer);
    stream.on('error', (error: ServiceError) => end(fromStatus(error)));
    stream.on('end', () => end(new Unavailable('the mailbox service ended the stream')));
    return stream;
  };
  const streamFor = (nowMs: number): DeliverStream => {
    if (current !== undefined && (current.deliveries >= STREAM_DELIVERIES || nowMs - current.openedMs > STREAM_MS)) {
      // Its answers still come.
      current.stream.end();
      current = undefined;
    }
    current ??= { stream: open(), openedMs: nowMs, deliveries: 0 };
    current.deliveries++;
    return current.stream;
  };
  return {
    deliver: (request) =>
      new Promise((resolve, reject) => {
        const nowMs = Date.now();
        const stream = streamFor(nowMs);
        const id = nextId++;
        unanswered.add(id, { stream, resolve, reject, deadlineMs: nowMs + options.timeoutMs });
        stream.write({ ...request, id });
      }),
    close: () => {
      unanswered.close();
      for (const stream of streams) stream.cancel();
      client.close();
    },
  };
}
