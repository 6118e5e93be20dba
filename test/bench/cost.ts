// What a message costs, in counts that do not depend on the machine's mood. `node cost.ts` compares them with baseline.json and
// fails where one grew; `node cost.ts --baseline` writes them there.
import { readFileSync, writeFileSync } from 'node:fs';
import { startAngarium } from './angarium.ts';
import { type Costs, compareCosts, TOLERANCES } from './costs.ts';
import type { LoadOptions } from './load.ts';
import { type Mta, runLoad, startSink, until } from './mta.ts';
import { collectGarbage, inspectedAt } from './process.ts';

/** Two runs on one machine do not meet. */
const PORT = 23_200 + (process.pid % 100) * 20;
const SINK_PORT = PORT + 10;
const INSPECTOR_PORT = PORT + 11;
const MESSAGES = 3000;
const QUEUED = 20_000;
const WAIT_MS = 30_000;
const BASELINE = new URL('baseline.json', import.meta.url);
const scratch = new URL('../../.cache/cost/', import.meta.url).pathname;

const loadOf = (mta: Mta, o: Pick<LoadOptions, 'name' | 'messages' | 'connections'>): LoadOptions => ({
  ...mta.smtp,
  ...o,
  octets: 2048,
  recipients: 1,
  domains: ['sink.test'],
  users: 10,
  perConnection: 1000,
});

/** Over one connection, so that a batch holds what one message needs and no more. */
async function relayCosts(): Promise<Costs> {
  const sink = await startSink(SINK_PORT);
  const mta = await startAngarium(scratch, PORT)({ relay: { 'sink.test': `127.0.0.1:${SINK_PORT}` } });
  try {
    const arrived = (wanted: number) => until(async () => (await sink.report()).messages >= wanted, WAIT_MS);
    await runLoad(loadOf(mta, { name: 'warm', messages: MESSAGES, connections: 1 }));
    await arrived(MESSAGES);
    const before = await mta.counts();
    const { taken } = await runLoad(loadOf(mta, { name: 'load', messages: MESSAGES, connections: 1 }));
    await arrived(MESSAGES + taken);
    const after = await mta.counts();
    return Object.fromEntries(Object.entries(after).map(([name, count]) => [`${name} per message`, (count - (before[name] ?? 0)) / taken]));
  } finally {
    await mta.stop();
    await sink.stop();
  }
}

async function queuedCosts(): Promise<Costs> {
  const mta = await startAngarium(scratch, PORT, inspectedAt(INSPECTOR_PORT))({ isHeld: true });
  const held = async () => {
    await collectGarbage(INSPECTOR_PORT);
    return mta.heldOctets();
  };
  try {
    await runLoad(loadOf(mta, { name: 'warm', messages: QUEUED, connections: 20 }));
    const before = await held();
    const { taken } = await runLoad(loadOf(mta, { name: 'load', messages: QUEUED, connections: 20 }));
    return { 'heap octets per queued message': ((await held()) - before) / taken };
  } finally {
    await mta.stop();
  }
}

const found: Costs = { ...(await relayCosts()), ...(await queuedCosts()) };
if (process.argv.includes('--baseline')) writeFileSync(BASELINE, `${JSON.stringify(found, null, 2)}\n`);
const grown = compareCosts(JSON.parse(readFileSync(BASELINE, 'utf8')) as Costs, found, TOLERANCES);
for (const [name, cost] of Object.entries(found)) console.log(`${name}: ${cost.toFixed(2)}`);
for (const text of grown) console.error(text);
if (grown.length > 0) console.error('if that is meant: npm run bench:baseline, and say why in docs/performance.md');
process.exitCode = grown.length > 0 ? 1 : 0;
