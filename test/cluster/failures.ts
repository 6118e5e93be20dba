// npm run test:failures [-- --rows a,b]: a small cluster under load, and all that may happen to it, one after the other. Writes the
// measured figures to docs/failures.md when all rows ran.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { brokersMissing, KAFKA_VERSIONS } from '../kafka/jars.mjs';
import { gatewayMissing } from '../s3/gateway.mjs';
import { faultsOf, runRow } from './judge.ts';
import { ROWS, type Row } from './rows.ts';
import { createWorld, type Result } from './world.ts';

const { values } = parseArgs({ options: { rows: { type: 'string' } } });
const wanted = values.rows?.split(',');
const rows = ROWS.filter(({ name }) => wanted === undefined || wanted.includes(name));
const missing = brokersMissing(KAFKA_VERSIONS.newest) ?? gatewayMissing();
if (missing !== undefined || rows.length === 0) {
  console.error(missing ?? `--rows: ${ROWS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);
const HEAD = `| What happens | taken | lost | copies (at most) | refused for now | longest without a 250 | longest without a delivery |
|---|---|---|---|---|---|---|`;
const lineOf = ({ title, copiesAtMost }: Row, { note, taken, lost, copies, refused, acceptSilenceMs, deliverySilenceMs }: Result): string =>
  `| ${title}${note && `: ${note}`} | ${taken} | ${lost.length} | ${copies} (${copiesAtMost}) | ${refused} | ${seconds(acceptSilenceMs)} s | ${seconds(deliverySilenceMs)} s |`;

const world = await createWorld({ brokerCount: 3 });
const lines: string[] = [];
let faults = 0;
console.log(HEAD);
try {
  for (const row of rows) {
    const result = await runRow(world, row);
    lines.push(lineOf(row, result));
    console.log(lines.at(-1));
    for (const fault of faultsOf(row, result)) {
      faults++;
      console.log(`  FAILS: ${fault}`);
    }
  }
} finally {
  await world.close();
}
if (wanted === undefined && faults === 0) {
  const page = new URL('../../docs/failures.md', import.meta.url);
  const [before = '', after = ''] = readFileSync(page, 'utf8').split(/<!-- measured:.*?-->[\s\S]*?<!-- end -->/);
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Linux ${release()}, Node ${process.version}, Kafka ${KAFKA_VERSIONS.newest}`;
  const text = `\`npm run test:failures\`, ${new Date().toISOString().slice(0, 10)}, ${machine}.\n\n${HEAD}\n${lines.join('\n')}`;
  writeFileSync(page, `${before}<!-- measured: written by npm run test:failures -->\n${text}\n<!-- end -->${after}`);
}
process.exit(faults === 0 ? 0 : 1);
