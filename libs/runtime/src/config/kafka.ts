import { z } from 'zod';
import { address, atLeastOne, durationMs, octets } from './units.ts';

export const kafkaSchema = z.strictObject({
  brokers: z.array(address).default([]).describe('Brokers to start from, host:port; one that answers is enough.'),
  prefix: z.string().default('').describe('Stands before the names of topics and groups, where several clusters share a Kafka.'),
  clientId: z.string().default('angarium').describe('Name that brokers log and keep quotas by.'),
  replicationFactor: atLeastOne.default(3).describe('Replicas of each topic; fewer, and the process is not ready.'),
  minInSyncReplicas: atLeastOne
    .default(2)
    .describe('Replicas that have a record before it counts as durable; fewer, and the process is not ready.'),
  tls: z
    .strictObject({
      enabled: z.boolean().default(false).describe('TLS to the brokers.'),
      authorityFile: z.string().optional().describe('Authority that brokers must be signed by, PEM; left out: those of Node.'),
      certificateFile: z.string().optional().describe('Our certificate chain, PEM, where brokers ask for one.'),
      keyFile: z.string().optional().describe('Our private key, PEM.'),
    })
    .prefault({}),
  sasl: z
    .strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('How we log in.'),
      login: z.string().describe('Our name.'),
      passwordFile: z.string().describe('File with the password, read at each new connection.'),
    })
    .optional()
    .describe('Login at the brokers.'),
  startTimeoutMs: durationMs
    .default(0)
    .describe('How long a process that starts waits for brokers and topics, alive and not ready; then it ends and says what is missing.'),
  connectTimeoutMs: durationMs.default(2000).describe('Longest wait for a connection to a broker, handshakes included.'),
  requestTimeoutMs: durationMs.default(2500).describe('Longest wait for an answer of a broker; then the next try, with fresh metadata.'),
  appendTimeoutMs: durationMs
    .default(20_000)
    .describe('After this an append, a read or a trim that was repeated fails: new mail gets 451 4.3.0.'),
  maxBufferedOctets: octets
    .default(64 * 1024 ** 2)
    .describe('Octets of appends that wait for a broker; one beyond fails: new mail gets 452 4.3.1.'),
  connectionsPerBroker: atLeastOne.default(1).describe('Produce calls at once to one broker; more make smaller batches.'),
  fetchWaitMs: durationMs.default(500).describe('How long a broker holds a fetch while there is nothing.'),
  readAheadOctets: octets.default(64 * 1024 ** 2).describe('Octets read ahead over all partitions.'),
  recentOctets: octets.default(32 * 1024 ** 2).describe('Octets of followed records kept in memory for reads by offset.'),
  sessionTimeoutMs: durationMs.default(10_000).describe('A routing process that is not heard of for so long is dead to its group.'),
  heartbeatMs: durationMs.default(1000).describe('How often a routing process tells its group that it lives.'),
  rebalanceTimeoutMs: durationMs.default(60_000).describe('How long the group waits at a change for batches that still run.'),
  metadataMs: durationMs.default(60_000).describe('How often a routing process looks for partitions that were added.'),
});
