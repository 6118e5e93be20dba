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
  maxConnections: atLeastOne.default(500).describe('POP3 connections at once.'),
  maxConnectionsPerClient: atLeastOne.default(20).describe('POP3 connections at once from one client address.'),
  idleTimeoutMs: durationMs.default(600_000).describe('Longest wait for a command; at least 10 minutes (RFC 1939 §3).'),
  maxSessionMs: durationMs.default(3_600_000).describe('Longest POP3 session.'),
  maxAuthFailures: atLeastOne.default(3).describe('Wrong passwords per session before it is closed.'),
  authFailureDelayMs: durationMs.default(1000).describe('Pause before a wrong password is answered.'),
  ledgerMs: durationMs.default(12 * 86_400_000).describe('How long a finished delivery is remembered: queue lifetime + 7 days.'),
  maxMessageOctets: octets.default(100 * 1024 ** 2).describe('Largest message stored.'),
  sweepAfterMs: durationMs.default(86_400_000).describe('Age at which a body that no message names is deleted.'),
});
