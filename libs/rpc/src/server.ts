import { chmod } from 'node:fs/promises';
import {
  Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { clearSocket, type RpcAddress, serverCredentials } from './address.ts';
import { externalScalerHandlers, type ScalerNumber } from './external-scaler.ts';
import { DirectoryAdminService } from './gen/angarium/directory/v1/admin.ts';
import { DirectoryService } from './gen/angarium/directory/v1/directory.ts';
import { type DeliverRequest, type DeliverResponse, DeliverResult, MailboxService } from './gen/angarium/mailbox/v1/mailbox.ts';
import { QueueService } from './gen/angarium/queue/v1/queue.ts';
import { QuotaService } from './gen/angarium/quota/v1/quota.ts';
import { ExternalScalerService } from './gen/externalscaler/externalscaler.ts';
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

/**
 * Serves the given ports over gRPC. Resolves once it listens; `port` is 0 for a Unix socket, which only its owner may
 * use.
 */
export async function serveRpc(options: RpcServerOptions): Promise<{ readonly port: number; close(): Promise<void> }> {
  const { services, onFault } = options;
  const server = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE_OCTETS });
  const unary: readonly (readonly [ServiceDefinition, object | undefined])[] = [
    [DirectoryService, services.directory],
    [DirectoryAdminService, services.directoryAdmin],
    [QueueService, services.queue],
    [QuotaService, services.quota],
  ];
  for (const [definition, port] of unary) if (port) server.addService(definition, unaryHandlers(definition, port, onFault));
  if (services.mailbox) server.addService(MailboxService, { deliver: deliverHandler(services.mailbox, onFault) });
  if (services.scaler) server.addService(ExternalScalerService, externalScalerHandlers(services.scaler));
  await clearSocket(options.address);
  const credentials = await serverCredentials(options.tls);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const isSocket = options.address.startsWith('unix:');
  if (isSocket) await chmod(options.address.slice('unix:'.length), 0o600);
  return {
    port: isSocket ? 0 : port,
    close: () =>
      new Promise((resolve) => {
        const force = setTimeout(() => server.forceShutdown(), CLOSE_WITHIN_MS);
        server.tryShutdown(() => {
          clearTimeout(force);
          resolve();
        });
      }),
  };
}

const CLOSE_WITHIN_MS = 5000;
