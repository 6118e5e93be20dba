import { z } from 'zod';
import { blobsSchema } from './blobs.ts';
import { deliverySchema } from './delivery.ts';
import { ingressSchema } from './ingress.ts';
import { kafkaSchema } from './kafka.ts';
import { mailboxSchema } from './mailbox.ts';
import { postgresSchema } from './postgres.ts';
import { routingSchema } from './routing.ts';
import { rpcSchema } from './rpc.ts';
import { scalingSchema } from './scaling.ts';
import { tracingSchema } from './tracing.ts';
import { address, atLeastOne, durationMs, octets } from './units.ts';

export const configSchema = z.strictObject({
  hostname: z.string().default('localhost').describe('Our name in greetings, EHLO and Received fields.'),
  dataFolder: z.string().default('./data').describe('Folder of log, blobs, directory and mailboxes on one machine.'),
  stopMs: durationMs
    .default(30_000)
    .describe(
      'Longest orderly stop; a delivery worker of a cluster then still waits for replies, for delivery.graceMs. What is cut off is done again.',
    ),
  tls: z
    .strictObject({
      certificateFile: z.string().optional().describe('Certificate chain, PEM. Reloaded when the file changes.'),
      keyFile: z.string().optional().describe('Private key, PEM.'),
      reloadMs: durationMs.default(1000).describe('How often the files are looked at.'),
    })
    .prefault({}),
  control: z.string().default('').describe('Control interface of the command: a Unix socket; empty: control.sock in the data folder.'),
  rpcTls: z
    .strictObject({
      certificateFile: z.string().describe('Certificate chain of this service, PEM.'),
      keyFile: z.string().describe('Its private key, PEM.'),
      authorityFile: z.string().describe('Authority that peers must be signed by, PEM.'),
      peerName: z
        .string()
        .optional()
        .describe('Name that every peer’s certificate has, where peers are called by address; left out: the host that is called.'),
    })
    .optional()
    .describe('Mutual TLS of gRPC; without it gRPC listens on loopback or Unix sockets only.'),
  rpc: rpcSchema.prefault({}),
  directoryListen: z.string().default('').describe('Where the Directory service also listens for a mailbox on its own; empty: nowhere.'),
  directoryAt: z
    .string()
    .default('127.0.0.1:2601')
    .describe(
      'gRPC address of the Directory service, for ingress and delivery on their own; several: 192.0.2.1:2601,192.0.2.2:2601 or dns:///name:2601.',
    ),
  blobFolder: z
    .string()
    .default('')
    .describe('Folder of large contents that ingress, routing and delivery on their own share; empty: blobs in the data folder.'),
  blobs: blobsSchema.prefault({}),
  mailboxAt: z
    .string()
    .default('')
    .describe('gRPC address of a mailbox service that runs on its own, or of several, as in directoryAt; empty: in this process.'),
  metrics: z
    .strictObject({ listen: address })
    .prefault({ listen: '127.0.0.1:2080' })
    .describe('Where /metrics, /livez and /readyz are served.'),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').describe('Lowest level written.'),
      flushMs: durationMs.default(500).describe('How long a line may stay in the buffer.'),
    })
    .prefault({}),
  tracing: tracingSchema.prefault({}),
  journal: z
    .strictObject({
      lanes: atLeastOne.default(16).describe('Partitions of mail.lane.'),
      inPartitions: atLeastOne.default(4).describe('Partitions of mail.in.'),
      localSpread: atLeastOne.default(8).describe('Lanes that one hosted domain is spread over.'),
      segmentOctets: octets.default(64 * 1024 ** 2).describe('Size at which the embedded log starts a new file.'),
      freeShareForHistory: z.number().min(0).max(1).default(0.2).describe('Share of free disk below which history is given back.'),
      reserveShare: z.number().min(0).max(1).default(0.1).describe('Share of free disk below which new mail gets 452.'),
      reserveOctets: octets.default(1024 ** 3).describe('Free octets below which new mail gets 452; the smaller of both counts.'),
    })
    .prefault({}),
  kafka: kafkaSchema.prefault({}),
  postgres: postgresSchema.optional().describe('Server of what several processes keep together.'),
  ingress: ingressSchema.prefault({}),
  routing: routingSchema.prefault({}),
  delivery: deliverySchema.prefault({}),
  scaling: scalingSchema.prefault({}),
  mailbox: mailboxSchema.prefault({}),
});

/** The whole configuration, validated, with every default filled in. */
export type Config = z.output<typeof configSchema>;
