import { z } from 'zod';
import { atLeastOne, durationMs } from './units.ts';

export const postgresSchema = z.strictObject({
  host: z.string().min(1).describe('Host of the server.'),
  port: z.number().int().min(1).max(65_535).default(5432).describe('Its port.'),
  database: z.string().min(1).describe('Database; our tables are in schemas of their own.'),
  user: z.string().min(1).describe('Role that we log in as; it must be allowed to make schemas.'),
  passwordFile: z.string().optional().describe('File with its password, read at each new connection.'),
  tls: z
    .strictObject({
      authorityFile: z.string().optional().describe('Authority that the server must be signed by, PEM; left out: those of Node.'),
      certificateFile: z.string().optional().describe('Our certificate chain, PEM, where the server asks for one.'),
      keyFile: z.string().optional().describe('Our private key, PEM.'),
    })
    .optional()
    .describe('TLS to the server; left out: in clear.'),
  maxConnections: atLeastOne.default(4).describe('Connections at once of each process, and one more for locks.'),
  maxWaiting: atLeastOne.default(1000).describe('Calls that may wait for a connection; more fail as a server that is down.'),
  connectTimeoutMs: durationMs.default(5000).describe('Longest wait for a connection.'),
  statementTimeoutMs: durationMs.default(10_000).describe('Longest statement, its waiting for locks included.'),
  lockTimeoutMs: durationMs.default(5000).describe('Longest wait for a lock.'),
});
