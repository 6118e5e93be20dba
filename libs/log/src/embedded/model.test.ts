import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { AppendFailed, type Log } from '../port.ts';
import { type Bench, createBench, readAll, text } from './fixtures/bench.ts';
import type { Step } from './fixtures/failing-files.ts';

/*
 * Random appends, trims, consumptions, faults, stops and kills, against a model that is nothing but lists. After each
 * command the log must show what the model shows; after a kill, what was refused in doubt may be there, whole or not at all.
 */

const LANES = [0, 1, 2];
const GROUP = 'g';

interface Lane {
  low: number;
  values: string[];
}
interface Model {
  readonly lanes: Lane[];
  /** The lanes as they would be with what was refused in doubt. */
  doubt: Lane[] | undefined;
  /** Positions that may be in force. */
  readonly committed: Set<number>[];
}
interface Run {
  readonly bench: Bench;
  folder: string;
  log: Log;
  readonly model: Model;
  /** Makes values that differ. */
  count: number;
}

const copyOf = (lanes: readonly Lane[]): Lane[] => lanes.map(({ low, values }) => ({ low, values: [...values] }));
const highOf = ({ low, values }: Lane): number => low + values.length;
const trimmed = ({ low, values }: Lane, below: number): Lane => ({ low: below, values: values.slice(below - low) });

/** Does a change, and takes it into the model as it ended. */
async function change(run: Run, wanted: Lane[], act: () => Promise<unknown>): Promise<void> {
  const { model } = run;
  try {
    await act();
    model.lanes.splice(0, LANES.length, ...wanted);
    model.doubt = undefined;
  } catch (error) {
    if (!(error instanceof AppendFailed)) throw error;
    if (error.inDoubt) model.doubt = wanted;
  }
}

const laneOf = (model: Model, lane: number): Lane => model.lanes[lane] ?? { low: 0, values: [] };

type Command = (run: Run) => Promise<void>;

const append = (batch: readonly (readonly [lane: number, sizes: readonly number[]])[]): Command => {
  return async (run) => {
    const wanted = copyOf(run.model.lanes);
    const appends = batch.map(([lane, sizes]) => {
      const into = wanted[lane] ?? { low: 0, values: [] };
      const first = highOf(into);
      const values = sizes.map((size) => `${run.count++}.`.padEnd(size, 'v'));
      into.values.push(...values);
      return { lane, first, values };
    });
    await change(run, wanted, () =>
      Promise.all(
        appends.map(async ({ lane, first, values }) => assert.equal(await run.log.append('mail.lane', lane, values.map(text)), first)),
      ),
    );
  };
};

const trim = (lane: number, share: number): Command => {
  return async (run) => {
    const { low, values } = laneOf(run.model, lane);
    const below = low + Math.round(share * values.length);
    const wanted = copyOf(run.model.lanes).map((one, at) => (at === lane ? trimmed(one, below) : one));
    if (below > low) await change(run, wanted, () => run.log.trim('mail.lane', lane, below));
    else await run.log.trim('mail.lane', lane, below);
  };
};

const consume: Command = async ({ log, model }) => {
  const positions = await Promise.all(LANES.map((lane) => log.committed(GROUP, 'mail.lane', lane)));
  const waiting = LANES.filter((lane) => {
    const at = positions[lane] ?? 0;
    return at >= laneOf(model, lane).low && at < highOf(laneOf(model, lane));
  });
  if (waiting.length === 0) return;
  const stop = new AbortController();
  const taken = new Map<number, number>();
  const consumption = log.consume({
    group: GROUP,
    topics: ['mail.lane'],
    maxBatchOctets: 100,
    signal: stop.signal,
    onGap: () => {},
    onBatch: async ({ partition, records }) => {
      taken.set(partition, (records.at(-1)?.offset ?? 0) + 1);
      if (taken.size === waiting.length) stop.abort();
      return taken.get(partition) ?? 0;
    },
  });
  const isDurable = await consumption.then(
    () => true,
    (error: unknown) => (error instanceof AppendFailed ? false : Promise.reject(error)),
  );
  for (const [lane, position] of taken) {
    if (isDurable) model.committed[lane]?.clear();
    model.committed[lane]?.add(position);
  }
};

const fail = (step: Step, code: string, times: number): Command => {
  return async ({ bench: { files } }) => {
    let left = times;
    files.decide = (taken) => (taken === step && left-- > 0 ? { code, partOctets: 30 } : undefined);
  };
};
const heal: Command = async ({ bench: { files } }) => {
  files.decide = () => undefined;
};

/** A position that was never committed is the low mark. */
async function settleCommitted({ log, model }: Run): Promise<void> {
  for (const lane of LANES) {
    const position = await log.committed(GROUP, 'mail.lane', lane);
    const possible = model.committed[lane] ?? new Set();
    assert.ok(possible.has(position) || (possible.has(-1) && position === laneOf(model, lane).low), `${position} of ${[...possible]}`);
    if (!possible.has(position)) continue;
    possible.clear();
    possible.add(position);
  }
}

const reopen: Command = async (run) => {
  await heal(run);
  await run.log.close();
  run.log = await run.bench.open({ folder: run.folder });
  run.model.doubt = undefined;
  await settleCommitted(run);
};

/** Goes on over what a kill leaves; the log that was killed is not heard of again. */
const kill: Command = async (run) => {
  const { bench, model } = run;
  await heal(run);
  run.folder = await bench.copy(run.folder);
  run.log = await bench.open({ folder: run.folder });
  if (model.doubt && isDeepStrictEqual(await shown(run), model.doubt)) model.lanes.splice(0, LANES.length, ...model.doubt);
  model.doubt = undefined;
  await settleCommitted(run);
};

const shown = ({ log }: Run): Promise<Lane[]> =>
  Promise.all(
    LANES.map(async (lane) => {
      const [{ low, high }, values] = await Promise.all([log.marks('mail.lane', lane), readAll(log, 'mail.lane', lane)]);
      assert.equal(high, low + values.length);
      return { low, values };
    }),
  );

const check = async (run: Run): Promise<void> => assert.deepEqual(await shown(run), run.model.lanes);

const lane = fc.constantFrom(...LANES);
const sizes = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 4 });
const commands: fc.Arbitrary<readonly [string, Command]> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(fc.tuple(lane, sizes), { minLength: 1, maxLength: 4 }).map((batch) => ['append', append(batch)] as const),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(lane, fc.double({ min: 0, max: 1, noNaN: true })).map(([at, share]) => ['trim', trim(at, share)] as const),
  },
  { weight: 2, arbitrary: fc.constant(['consume', consume] as const) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom<Step>('open', 'state', 'write', 'sync', 'clear'),
        fc.constantFrom('EIO', 'ENOSPC'),
        fc.integer({ min: 1, max: 4 }),
      )
      .map(([step, code, times]) => [`${step} fails with ${code} ${times} times`, fail(step, code, times)] as const),
  },
  { weight: 1, arbitrary: fc.constant(['heal', heal] as const) },
  { weight: 1, arbitrary: fc.constant(['reopen', reopen] as const) },
  { weight: 1, arbitrary: fc.constant(['kill', kill] as const) },
);

test('the log shows what a simple model shows, whatever fails', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(1, 400, 2000, 20_000),
      fc.array(commands, { minLength: 5, maxLength: 30 }),
      async (segmentOctets, wanted) => {
        const bench = await createBench({ segmentOctets, clearOctets: 2000 });
        try {
          const lanes = LANES.map(() => ({ low: 0, values: [] }));
          const model: Model = { lanes, doubt: undefined, committed: LANES.map(() => new Set([-1])) };
          const run: Run = { bench, folder: bench.folder, log: bench.log, model, count: 0 };
          for (const [, command] of wanted) {
            await command(run);
            await check(run);
          }
          await reopen(run);
          await check(run);
        } finally {
          await bench.close();
        }
      },
    ),
    { numRuns: 60 },
  );
});
