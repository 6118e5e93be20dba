import { parentPort, workerData } from 'node:worker_threads';
import { simulate } from './simulate.ts';

export interface Share {
  /** Seeds `first`, `first + step`, ... up to `last`. */
  readonly first: number;
  readonly last: number;
  readonly step: number;
}

export interface Found {
  readonly seeds: number;
  readonly letters: number;
  /** Of the first seed that is not in order; later ones are not run. */
  readonly faults: readonly string[];
}

async function runShare({ first, last, step }: Share): Promise<Found> {
  let [seeds, letters] = [0, 0];
  for (let seed = first; seed <= last; seed += step) {
    const outcome = await simulate(seed);
    seeds++;
    letters += outcome.letters;
    if (outcome.faults.length > 0) return { seeds, letters, faults: [`SEED=${seed}`, ...outcome.faults] };
  }
  return { seeds, letters, faults: [] };
}

parentPort?.postMessage(await runShare(workerData as Share));
