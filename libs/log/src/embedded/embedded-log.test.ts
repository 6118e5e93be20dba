import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logContract } from '../contract.ts';
import type { Log } from '../port.ts';
import { createBench } from './fixtures/bench.ts';
import type { BatchSeen } from './writer.ts';

for (const [engine, segmentOctets, clearOctets] of [
  ['embedded', 1024 ** 2, 0],
  ['embedded, cleared ahead', 1024 ** 2, 8192],
  ['embedded, a segment a batch', 1, 0],
] as const) {
  logContract(engine, async () => {
    const bench = await createBench({ segmentOctets, clearOctets });
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

test('an observer sees each durable batch: its entries, its octets, and how long its slowest append took', async (t) => {
  const seen: BatchSeen[] = [];
  const { log, files, close } = await createBench({ observe: (batch) => seen.push(batch) });
  t.after(close);
  const value = new Uint8Array(100);
  await log.append('mail.in', 0, [value]);
  const [first] = seen;
  assert.ok(first && first.entries === 1 && first.octets > 100 && first.writeMs > 0 && first.appendMs >= first.writeMs);
  // The first of these is written alone; the rest waits for it, and is one batch.
  files.decide = (step) => {
    if (step === 'sync' && seen.length === 1) for (let at = 0; at < 9; at++) log.append('mail.lane', 0, [value]).catch(assert.ifError);
    return undefined;
  };
  await log.append('mail.in', 0, [value]);
  while (seen.length < 3) await new Promise(setImmediate);
  assert.deepEqual(
    seen.map(({ entries }) => entries),
    [1, 1, 9],
  );
  const [, second, third] = seen;
  assert.ok(second && third && third.appendMs > third.writeMs && third.octets > 9 * 100);
});
