import { logContract } from '../contract.ts';
import type { Log } from '../port.ts';
import { createBench } from './fixtures/bench.ts';

for (const [engine, segmentOctets] of [
  ['embedded', 1024 ** 2],
  ['embedded, a segment a batch', 1],
] as const) {
  logContract(engine, async () => {
    const bench = await createBench({ segmentOctets });
    // Positions that ride in no batch are written by the clock, which here is run by the log's own flush.
    return {
      log: bench.log,
      reopen: (): Promise<Log> => bench.reopen(),
      failNextAppend: () => {
        bench.files.decide = (step) => {
          if (step !== 'sync') return undefined;
          bench.files.decide = () => undefined;
          return { code: 'EIO' };
        };
      },
      close: () => bench.close(),
    };
  });
}
