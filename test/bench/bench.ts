// npm run bench [-- --engine kafka] [--peer postfix] [--rows a,b] [--seconds N] [--repetitions R] [--backlog N] [--flat N] [--write]
import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { startAngarium } from './angarium.ts';
import { startCluster } from './cluster.ts';
import { CLUSTER_ROWS } from './cluster-rows.ts';
import type { Figures } from './measuring.ts';
import { postfixMissing, postfixVersion, startPostfix } from './postfix.ts';
import { isWithin, renderReport, summarize } from './report.ts';
import { ROWS } from './rows.ts';

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'embedded' },
    peer: { type: 'string' },
    rows: { type: 'string' },
    seconds: { type: 'string', default: '5' },
    repetitions: { type: 'string', default: '3' },
    backlog: { type: 'string' },
    flat: { type: 'string', default: '200000' },
    port: { type: 'string', default: '23100' },
    write: { type: 'boolean', default: false },
  },
});

const root = new URL('../../', import.meta.url);
const scratch = new URL('.cache/bench/', root).pathname;
const TMPFS = 0x01021994;

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(2);
}

mkdirSync(scratch, { recursive: true });
if (statfsSync(scratch).type === TMPFS) fail(`${scratch} is in memory: a sync there costs nothing, and the figures would mean nothing`);
if (values.peer !== undefined && values.peer !== 'postfix') fail(`--peer ${values.peer}: only postfix is known`);
const missing = values.peer === undefined ? undefined : postfixMissing();
if (missing !== undefined) fail(missing);

const port = Number(values.port);
const ENGINES = {
  embedded: { start: startAngarium(scratch, port), all: ROWS, warmSeconds: 12, backlog: 100_000 },
  // Brokers take longer to learn what is asked of them again and again.
  kafka: { start: startCluster(scratch, port + 100), all: CLUSTER_ROWS, warmSeconds: 60, backlog: 200_000 },
};
const engine = ENGINES[values.engine as keyof typeof ENGINES];
if (engine === undefined) fail(`--engine ${values.engine}: ${Object.keys(ENGINES).join(' or ')}`);
const { start, all, warmSeconds } = engine;
const mtas = [
  { name: 'Angarium', start },
  ...(values.peer === undefined ? [] : [{ name: 'Postfix', start: startPostfix(scratch, port + 20) }]),
];
const wanted = values.rows?.split(',');
const rows = all.filter(({ name }) => wanted === undefined || wanted.includes(name));
if (rows.length === 0) fail(`--rows: ${all.map(({ name }) => name).join(', ')}`);
const { seconds, backlog = engine.backlog, flat } = values;
const options = { seconds: Number(seconds), backlog: Number(backlog), flat: Number(flat), sinkPort: port + 30, warmSeconds };

const results = [];
for (const row of rows) {
  const runs = new Map<string, Figures[]>(mtas.map(({ name }) => [name, []]));
  const repetitions = row.isLong ? 1 : Number(values.repetitions);
  // One after the other and in turns, so that whatever else the machine does falls on both.
  for (let repetition = 0; repetition < repetitions; repetition++)
    for (const { name, start } of mtas) if (!row.isOursAlone || name === 'Angarium') runs.get(name)?.push(await row.run(start, options));
  const summary = summarize(row, runs);
  results.push(summary);
  process.stdout.write(`${renderReport([summary])}\n`);
}
rmSync(scratch, { recursive: true, force: true });

const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Linux ${release()}, Node ${process.version}${values.peer ? `, Postfix ${postfixVersion()}` : ''}`;
const command = `npm run bench -- ${process.argv
  .slice(2)
  .filter((one) => one !== '--write')
  .join(' ')}`;
const failing = results.flatMap(({ verdicts }) => verdicts).filter((verdict) => !isWithin(verdict));
process.stdout.write(`${failing.length} of the floors and limits are not met\n`);
if (values.write) {
  const page = new URL('docs/performance.md', root);
  const mark = `<!-- measured: written by npm run bench, engine ${values.engine} -->`;
  const [before = '', after = ''] = readFileSync(page, 'utf8').split(new RegExp(`${mark}[\\s\\S]*?<!-- end -->`));
  const date = new Date().toISOString().slice(0, 10);
  const text = `\`${command}\`, ${date}, ${machine}.\n\n${renderReport(results)}`;
  writeFileSync(page, `${before}${mark}\n${text}\n<!-- end -->${after}`);
}
