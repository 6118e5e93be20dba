import { parentPort, workerData } from 'node:worker_threads';
import { simulate, type Tally } from './simulate.ts';

export interface Share {
  /** Seeds `first`, `first + step`, ... up to `last`. */
  readonly first: number;
  readonly last: number;
  readonly step: number;
}

export interface Found {
  readonly tallies: readonly Tally[];
  /** Of the first seed that is not in order; later ones are not run. */
  readonly faults: readonly string[];
}

async function runShare({ first, last, step }: Share): Promise<Found> {
  const tallies: Tally[] = [];
  for (let seed = first; seed <= last; seed += step) {
    const { faults, tally } = await simulate(seed);
    tallies.push(tally);
    if (faults.length > 0) return { tallies, faults: [`SEED=${seed}`, ...faults] };
  }
  return { tallies, faults: [] };
}

parentPort?.postMessage(await runShare(workerData as Share));
