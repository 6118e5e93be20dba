// npm run bench [-- --engine kafka] [--peer postfix] [--rows a,b] [--seconds N] [--repetitions R] [--backlog N] [--flat N] [--write]
import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { startAngarium } from './angarium.ts';
import { startCluster } from './cluster.ts';
import { postfixMissing, postfixVersion, startPostfix } from './postfix.ts';
import { isWithin, renderReport, summarize } from './report.ts';
import { type Figures, ROWS } from './rows.ts';

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'embedded' },
    peer: { type: 'string' },
    rows: { type: 'string' },
    seconds: { type: 'string', default: '5' },
    repetitions: { type: 'string', default: '3' },
    backlog: { type: 'string', default: '100000' },
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
const ENGINES = { embedded: startAngarium(scratch, port), kafka: startCluster(scratch, port + 100) };
const start = ENGINES[values.engine as keyof typeof ENGINES];
if (start === undefined) fail(`--engine ${values.engine}: ${Object.keys(ENGINES).join(' or ')}`);
const mtas = [
  { name: 'Angarium', start },
  ...(values.peer === undefined ? [] : [{ name: 'Postfix', start: startPostfix(scratch, port + 20) }]),
];
const wanted = values.rows?.split(',');
const rows = ROWS.filter(({ name }) => wanted === undefined || wanted.includes(name));
if (rows.length === 0) fail(`--rows: ${ROWS.map(({ name }) => name).join(', ')}`);
const options = { seconds: Number(values.seconds), backlog: Number(values.backlog), flat: Number(values.flat), sinkPort: port + 30 };

const results = [];
for (const row of rows) {
  const runs = new Map<string, Figures[]>(mtas.map(({ name }) => [name, []]));
  const isLong = row.name === 'flat' || row.name === 'backlog';
  const repetitions = isLong ? 1 : Number(values.repetitions);
  // One after the other and in turns, so that whatever else the machine does falls on both.
  for (let repetition = 0; repetition < repetitions; repetition++)
    for (const { name, start } of mtas) if (row.name !== 'flat' || name === 'Angarium') runs.get(name)?.push(await row.run(start, options));
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
  const [before = '', after = ''] = readFileSync(page, 'utf8').split(/<!-- measured:.*?-->[\s\S]*?<!-- end -->/);
  const date = new Date().toISOString().slice(0, 10);
  const text = `\`${command}\`, ${date}, ${machine}.\n\n${renderReport(results)}`;
  writeFileSync(page, `${before}<!-- measured: written by npm run bench -->\n${text}\n<!-- end -->${after}`);
}
