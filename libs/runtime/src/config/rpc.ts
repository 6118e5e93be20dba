import { z } from 'zod';
import { durationMs } from './units.ts';

export const rpcSchema = z.strictObject({
  maxConnectionAgeMs: durationMs
    .refine((ms) => ms >= 1000, 'wants at least 1s')
    .default(45_000)
    .describe(
      'Age, a tenth more or less, at which a connection between services is given up for a new one, so that new servers are seen. What runs on it goes on.',
    ),
  reflection: z
    .boolean()
    .default(true)
    .describe('Whether grpcurl and its like may ask what interfaces there are, at addresses that are no Unix sockets.'),
  reloadMs: durationMs.default(10_000).describe('How often the files of rpcTls are looked at; new connections use what they hold.'),
});
