import { z } from 'zod';
import { atLeastOne, durationMs, octets } from './units.ts';

export const routingSchema = z.strictObject({
  maxBatchOctets: octets.default(1024 ** 2).describe('Octets of accepted messages routed as one batch.'),
  maxExpansion: atLeastOne.default(10_000).describe('Recipients that one forward-path may expand to; more is treated as a loop.'),
  maxAliasDepth: atLeastOne.default(20).describe('Aliases that may lead to each other before it is a loop.'),
  inlineFanoutMaxOctets: octets.default(64 * 1024).describe('Lanes times body above this: the body goes to the blob store once.'),
  floorLagMs: durationMs.default(300_000).describe('How far the duplicate floor stays behind the committed position.'),
  authCacheMs: durationMs.default(60_000).describe('How long a verified password stays verified; a change of the account ends it.'),
});
