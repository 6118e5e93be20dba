import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../e2e/angarium.ts';
import { freePort } from '../fixtures/ports.ts';

const TOOLS = new URL('../../.cache/tools/bin/', import.meta.url).pathname;
export const PROMTOOL = join(TOOLS, 'promtool');

/** For the `skip` option: false when Prometheus is there. In CI the tests run all the same, and fail. */
export function prometheusMissing(): string | false {
  if (['prometheus', 'promtool'].every((name) => existsSync(join(TOOLS, name)))) return false;
  console.log('LEFT OUT: tests of dashboards and alerts need prometheus and promtool: npm run tools.');
  return process.env.CI ? false : 'no prometheus';
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Prometheus {
  /** What an expression gives now. @throws what is wrong with it */
  query(expr: string): Promise<readonly Sample[]>;
  /** Values over the last `seconds`, a second apart, by line. */
  range(
    expr: string,
    seconds: number,
  ): Promise<readonly { readonly metric: Sample['metric']; readonly values: readonly (readonly [atS: number, value: number])[] }[]>;
  close(): Promise<void>;
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: { readonly result: { metric: Record<string, string>; value: [number, string]; values: [number, string][] }[] };
}

/** A real Prometheus that scrapes the addresses every second, with our rules. */
export async function startPrometheus(o: {
  readonly folder: string;
  readonly targets: readonly string[];
  readonly rules: string;
}): Promise<Prometheus> {
  const port = await freePort();
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [o.rules],
    scrape_configs: [{ job_name: 'angarium', static_configs: [{ targets: o.targets }] }],
  };
  await mkdir(o.folder, { recursive: true });
  await writeFile(join(o.folder, 'prometheus.yml'), JSON.stringify(config));
  const flags = [
    `--config.file=${join(o.folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(o.folder, 'tsdb')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  const child: ChildProcess = spawn(join(TOOLS, 'prometheus'), flags, { stdio: 'ignore' });
  const ask = async (path: string, parameters: Record<string, string>): Promise<Answer> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const answer = (await response.json()) as Answer;
    if (answer.status !== 'success') throw new Error(`${parameters.query}: ${answer.error}`);
    return answer;
  };
  await until(async () => ((await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => undefined))?.ok ? true : undefined), 30_000);
  return {
    query: async (query) => (await ask('query', { query })).data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) })),
    range: async (query, seconds) => {
      const end = Date.now() / 1000;
      const { data } = await ask('query_range', { query, start: String(end - seconds), end: String(end), step: '1' });
      return data.result.map(({ metric, values }) => ({ metric, values: values.map(([at, value]) => [at, Number(value)] as const) }));
    },
    close: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}
