import { z } from 'zod';
import { atLeastOne, durationMs, octets } from './units.ts';

export const routingSchema = z.strictObject({
  maxBatchOctets: octets.default(1024 ** 2).describe('Octets of accepted messages routed as one batch.'),
  maxExpansion: atLeastOne.default(10_000).describe('Recipients that one forward-path may expand to; more is treated as a loop.'),
  maxAliasDepth: atLeastOne.default(20).describe('Aliases that may lead to each other before it is a loop.'),
  inlineFanoutMaxOctets: octets.default(64 * 1024).describe('Lanes times body above this: the body goes to the blob store once.'),
  floorLagMs: durationMs.default(300_000).describe('How far the duplicate floor stays behind the committed position.'),
  bulkAfterBatches: atLeastOne.default(9).describe('Batches of new mail after which one of bulk mail (bounces) is routed all the same.'),
  bulkMaxWaitMs: durationMs.default(1000).describe('Longest wait of a batch of bulk mail for new mail.'),
  retryMs: durationMs.default(100).describe('First pause when the log, the blob store or the directory does not answer; it doubles.'),
  maxRetryMs: durationMs.default(5000).describe('Longest such pause.'),
  postmaster: z
    .string()
    .default('')
    .describe('Account that gets mail for postmaster where no account or alias has that name; empty: the oldest account.'),
  directoryEngine: z
    .enum(['sqlite', 'postgres'])
    .default('sqlite')
    .describe('Where domains, accounts, aliases and transports are: in a file of one process, or on a server (postgres) that all share.'),
  directoryMaxAgeMs: durationMs
    .default(1000)
    .describe('On a shared server: what another process changed is seen after this; a server that does not answer for longer: 451 4.3.0.'),
  authCacheMs: durationMs.default(60_000).describe('How long a verified password stays verified; a change of the account ends it.'),
  hashConcurrency: atLeastOne.default(2).describe('Passwords checked at once; each takes 19 MiB.'),
  maxWaitingLogins: atLeastOne.default(200).describe('Logins that may wait for their check; more are answered 454.'),
});
