import { z } from 'zod';
import { address, atLeastOne, durationMs, octets } from './units.ts';

export const mailboxSchema = z.strictObject({
  pop3: z
    .strictObject({ listen: z.array(address) })
    .prefault({ listen: ['127.0.0.1:2110'] })
    .describe('POP3 with STLS (port 110).'),
  pop3s: z
    .strictObject({ listen: z.array(address) })
    .prefault({ listen: ['127.0.0.1:2995'] })
    .describe('POP3 with TLS from the first octet (port 995).'),
  rpcListen: z.string().default('127.0.0.1:2600').describe('Where `angarium mailbox` alone serves gRPC.'),
  directory: z.string().default('127.0.0.1:2601').describe('Where `angarium mailbox` alone asks the Directory service.'),
  storeEngine: z
    .enum(['sqlite', 'postgres'])
    .default('sqlite')
    .describe('Where mailboxes are: in a file of one process, or on a server (postgres) that several mailbox processes share.'),
  blobFolder: z.string().default('').describe('Folder of large bodies that mailbox processes share; empty: mail in the data folder.'),
  maxConnections: atLeastOne.default(500).describe('POP3 connections at once.'),
  maxConnectionsPerClient: atLeastOne.default(20).describe('POP3 connections at once from one client address (IPv6: one /64).'),
  tlsHandshakeTimeoutMs: durationMs.default(30_000).describe('Longest TLS handshake.'),
  idleTimeoutMs: durationMs.default(600_000).describe('Longest wait for a command; at least 10 minutes (RFC 1939 §3).'),
  maxSessionMs: durationMs.default(3_600_000).describe('Longest POP3 session.'),
  maxErrors: atLeastOne.default(20).describe('Refused commands per session before it is closed.'),
  maxAuthFailures: atLeastOne.default(3).describe('Wrong passwords per session before it is closed.'),
  authFailureDelayMs: durationMs.default(1000).describe('Pause before a wrong password is answered.'),
  authFailuresPerClient: atLeastOne
    .default(30)
    .describe('Wrong passwords per client address and authFailureWindowMs; then -ERR [SYS/TEMP] without looking.'),
  authFailureWindowMs: durationMs.default(600_000).describe('Window of authFailuresPerClient.'),
  accountCacheMs: durationMs.default(2000).describe('How long quota and state of an account are remembered.'),
  ledgerMs: durationMs.default(12 * 86_400_000).describe('How long a finished delivery is remembered: queue lifetime + 7 days.'),
  maxMessageOctets: octets.default(100 * 1024 ** 2).describe('Largest message stored; a larger one is refused with 552 5.3.4.'),
  inlineMaxOctets: octets.default(32 * 1024).describe('A larger message is written to the blob store instead of the database.'),
  maxUnstoredOctets: octets.default(256 * 1024 ** 2).describe('Octets of deliveries that wait to be stored; one beyond gets 451 4.3.0.'),
  deliveriesPerCommit: atLeastOne.default(250).describe('Most deliveries that share one commit.'),
  sweepEveryMs: durationMs.default(60_000).describe('How often old ledger rows and bodies that no message names are looked for.'),
  blobSweepEveryMs: durationMs.default(6 * 3_600_000).describe('How often the blob store is searched for bodies that a crash left behind.'),
  sweepAfterMs: durationMs.default(86_400_000).describe('How long a body is kept after the last message that named it.'),
  drainMs: durationMs.default(5000).describe('How long a stop waits for running POP3 commands.'),
});
