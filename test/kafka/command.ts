import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Finished, run } from '../e2e/angarium.ts';

const MAIN = new URL('../../services/angarium/src/main.ts', import.meta.url).pathname;

/** The command with a configuration of its own, for what needs no running process. */
export async function createCommand(folder: string, config: object): Promise<(args: readonly string[]) => Promise<Finished>> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'angarium.yaml');
  const journal = { lanes: 4, inPartitions: 2, localSpread: 2 };
  await writeFile(file, JSON.stringify({ dataFolder: join(folder, 'data'), journal, ...config }));
  return (args) => run(process.execPath, [MAIN, '--config', file, ...args]);
}
