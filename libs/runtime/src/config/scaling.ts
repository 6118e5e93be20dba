import { z } from 'zod';
import { atLeastOne, count, durationMs } from './units.ts';

const address = z.string().regex(/^((\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5})?$/, 'wants host:port, or nothing');

export const scalingSchema = z.strictObject({
  workersAt: z
    .array(z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$/, 'wants host:port'))
    .default(['127.0.0.1:2080'])
    .describe('For `angarium scaler`: where delivery workers serve /metrics; of a name, all addresses behind it.'),
  everyMs: durationMs.default(5000).describe('How often they are asked.'),
  timeoutMs: durationMs.default(2000).describe('Longest wait for an answer.'),
  rememberMs: durationMs.default(60_000).describe('How long the last answer of a worker counts that does not answer any more.'),
  minWorkers: count.default(1).describe('Fewest delivery workers that are wanted.'),
  maxWorkers: atLeastOne.default(8).describe('Most of them; never more than lanes.'),
  usefulPerWorker: atLeastOne
    .default(2000)
    .describe('Recipients that are due, and that their receivers would take, for which one worker is wanted.'),
  heldPerWorker: atLeastOne.default(1_000_000).describe('Waiting recipients for which one worker is wanted: they are held in memory.'),
  patienceMs: durationMs.default(60_000).describe('When mail that nothing holds back is due for longer, one worker more is wanted.'),
  scaleInAfterMs: durationMs.default(300_000).describe('One worker fewer is wanted after fewer would have done for so long.'),
  rpcListen: address.default('').describe('Where KEDA asks for the number (gRPC, its external scaler); empty: nowhere.'),
  apiListen: address.default('').describe('Where Kubernetes asks for it (HTTPS, external.metrics.k8s.io); empty: nowhere.'),
  tls: z
    .strictObject({
      certificateFile: z.string().default('').describe('Certificate chain of apiListen, PEM. Reloaded when the file changes.'),
      keyFile: z.string().default('').describe('Its private key, PEM.'),
    })
    .prefault({}),
});
