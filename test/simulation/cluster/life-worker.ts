import { parentPort, workerData } from 'node:worker_threads';
import { type LifeTally, simulateCluster } from './life.ts';

export interface Share {
  /** Seeds `first`, `first + step`, ... up to `last`. */
  readonly first: number;
  readonly last: number;
  readonly step: number;
}

export interface Found {
  readonly tallies: readonly LifeTally[];
  /** Of the first seed that is not in order; later ones are not run. */
  readonly faults: readonly string[];
}

async function runShare({ first, last, step }: Share): Promise<Found> {
  const tallies: LifeTally[] = [];
  for (let seed = first; seed <= last; seed += step) {
    const { faults, tally } = await simulateCluster(seed);
    tallies.push(tally);
    if (faults.length > 0) return { tallies, faults: [`SEED=${seed}`, ...faults] };
  }
  return { tallies, faults: [] };
}

parentPort?.postMessage(await runShare(workerData as Share));
