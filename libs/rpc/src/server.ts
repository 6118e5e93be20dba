import { chmod } from 'node:fs/promises';
import {
  Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { clearSocket, type RpcAddress } from './address.ts';
import { serverCredentials } from './certificates.ts';
import { externalScalerHandlers, type ScalerNumber } from './external-scaler.ts';
import { DirectoryAdminService } from './gen/angarium/directory/v1/admin.ts';
import { DirectoryService } from './gen/angarium/directory/v1/directory.ts';
import { type DeliverRequest, type DeliverResponse, DeliverResult, MailboxService } from './gen/angarium/mailbox/v1/mailbox.ts';
import { QueueService } from './gen/angarium/queue/v1/queue.ts';
import { QuotaService } from './gen/angarium/quota/v1/quota.ts';
import { ExternalScalerService } from './gen/externalscaler/externalscaler.ts';
import { addHealth, addReflection } from './health.ts';
import type { Directory, DirectoryAdmin, Mailbox, Queue, Quota } from './ports.ts';
import { toStatus } from './status.ts';

/** Largest message over gRPC: a mail of the largest configured size and its envelope. */
export const MAX_MESSAGE_OCTETS = 256 * 1024 ** 2;

export interface RpcServices {
  readonly directory?: Directory;
  readonly directoryAdmin?: DirectoryAdmin;
  readonly mailbox?: Mailbox;
  readonly queue?: Queue;
  readonly quota?: Quota;
  /** KEDA asks it. */
  readonly scaler?: ScalerNumber;
}

export interface RpcServerOptions extends RpcAddress {
  readonly services: RpcServices;
  /** Told of errors that are neither `Refused` nor `Unavailable`; their text does not go over the wire. */
  readonly onFault: (error: unknown) => void;
  /** What the health service tells; left out: ready as long as it listens. */
  readonly isReady?: () => boolean;
  /** Whether grpcurl and its like may ask what there is. */
  readonly withReflection?: boolean;
  /**
   * A connection is given up at this age, a tenth more or less, so that clients come to see new servers; what runs on it goes on. Left
   * out: never.
   */
  readonly maxConnectionAgeMs?: number | undefined;
}

type Call = (request: unknown) => Promise<unknown>;

function unaryHandlers(definition: ServiceDefinition, port: object, onFault: (error: unknown) => void): UntypedServiceImplementation {
  const handlers: UntypedServiceImplementation = {};
  for (const name of Object.keys(definition)) {
    handlers[name] = (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>) => {
      (port as Record<string, Call>)[name]?.(call.request).then(
        (response) => callback(null, response ?? {}),
        (error: unknown) => {
          const refusal = toStatus(error);
          if (refusal.details === 'internal error') onFault(error);
          callback(refusal);
        },
      );
    };
  }
  return handlers;
}

function deliverHandler(mailbox: Mailbox, onFault: (error: unknown) => void) {
  return (call: ServerDuplexStream<DeliverRequest, DeliverResponse>) => {
    let open = 0;
    let ended = false;
    const finish = () => ended && open === 0 && call.end();
    const answer = (id: number, results: DeliverResponse['results']) => {
      open--;
      if (!call.cancelled && !call.destroyed) call.write({ id, results });
      finish();
    };
    call.on('data', (request: DeliverRequest) => {
      open++;
      mailbox.deliver(request).then(
        ({ results }) => answer(request.id, results),
        (error: unknown) => {
          onFault(error);
          answer(
            request.id,
            request.recipients.map(() => DeliverResult.UNAVAILABLE),
          );
        },
      );
    });
    call.on('end', () => {
      ended = true;
      finish();
    });
    call.on('error', onFault);
  };
}

/** Each port's service, and the file that describes it. */
const SERVICES: readonly { readonly port: keyof RpcServices; readonly definition: ServiceDefinition; readonly file: string }[] = [
  { port: 'directory', definition: DirectoryService, file: 'angarium/directory/v1/directory.proto' },
  { port: 'directoryAdmin', definition: DirectoryAdminService, file: 'angarium/directory/v1/admin.proto' },
  { port: 'queue', definition: QueueService, file: 'angarium/queue/v1/queue.proto' },
  { port: 'quota', definition: QuotaService, file: 'angarium/quota/v1/quota.proto' },
  { port: 'mailbox', definition: MailboxService, file: 'angarium/mailbox/v1/mailbox.proto' },
  { port: 'scaler', definition: ExternalScalerService, file: 'externalscaler/externalscaler.proto' },
];

/** "angarium.queue.v1.Queue" */
const nameOf = (definition: ServiceDefinition): string => Object.values(definition)[0]?.path.split('/')[1] ?? '';

function handlersOf(port: keyof RpcServices, services: RpcServices, { onFault }: RpcServerOptions): UntypedServiceImplementation {
  if (port === 'mailbox' && services.mailbox) return { deliver: deliverHandler(services.mailbox, onFault) };
  if (port === 'scaler' && services.scaler) return externalScalerHandlers(services.scaler);
  const definition = SERVICES.find((one) => one.port === port)?.definition ?? {};
  return unaryHandlers(definition, services[port] ?? {}, onFault);
}

/** What runs on a connection that was given up may go on for so long: longer than any call of ours. */
const CONNECTION_GRACE_MS = 120_000;

/**
 * Serves the given ports over gRPC, beside gRPC's health service. Resolves once it listens; `port` is 0 for a Unix socket, which only its owner may
 * use.
 */
export async function serveRpc(options: RpcServerOptions): Promise<{ readonly port: number; close(): Promise<void> }> {
  const { services, isReady = () => true, withReflection = false, maxConnectionAgeMs } = options;
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_OCTETS,
    // The library makes each connection's age a tenth more or less by itself.
    ...(maxConnectionAgeMs !== undefined && {
      'grpc.max_connection_age_ms': maxConnectionAgeMs,
      'grpc.max_connection_age_grace_ms': CONNECTION_GRACE_MS,
    }),
  });
  const served = SERVICES.filter(({ port }) => services[port] !== undefined);
  for (const { definition, port } of served) server.addService(definition, handlersOf(port, services, options));
  const endHealth = addHealth(
    server,
    served.map(({ definition }) => nameOf(definition)),
    isReady,
  );
  if (withReflection)
    addReflection(
      server,
      served.map(({ file }) => file),
    );
  await clearSocket(options.address);
  const { credentials, close: closeCredentials } = await serverCredentials(options.tls);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const isSocket = options.address.startsWith('unix:');
  if (isSocket) await chmod(options.address.slice('unix:'.length), 0o600);
  return {
    port: isSocket ? 0 : port,
    close: () =>
      new Promise((resolve) => {
        endHealth();
        closeCredentials();
        const force = setTimeout(() => server.forceShutdown(), CLOSE_WITHIN_MS);
        server.tryShutdown(() => {
          clearTimeout(force);
          resolve();
        });
      }),
  };
}

const CLOSE_WITHIN_MS = 5000;
