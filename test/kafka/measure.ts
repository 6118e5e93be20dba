// node test/kafka/measure.ts [--brokers 3] [--lanes 128] [--octets 2048] [--seconds 5]: what appends and replays on real brokers
// cost here. Rates are the machine's, brokers included; the processor time of this process per record holds anywhere.
import { parseArgs } from 'node:util';
import type { Log } from '@angarium/log';
import { startThrowawayBrokers } from './brokers.ts';
import { brokersFolder, createTrial } from './fixtures.ts';

const { values } = parseArgs({
  options: {
    brokers: { type: 'string', default: '3' },
    lanes: { type: 'string', default: '128' },
    octets: { type: 'string', default: '2048' },
    seconds: { type: 'string', default: '5' },
  },
});
const lanes = Number(values.lanes);
const value = Buffer.alloc(Number(values.octets), 7);

interface Measured {
  readonly records: number;
  readonly seconds: number;
  readonly cpuUs: number;
  readonly latenciesMs: readonly number[];
}

async function measure(callers: number, forMs: number, append: () => Promise<unknown>): Promise<Measured> {
  const [cpu, startedMs] = [process.cpuUsage(), performance.now()];
  const latenciesMs: number[] = [];
  const call = async () => {
    while (performance.now() - startedMs < forMs) {
      const sinceMs = performance.now();
      await append();
      latenciesMs.push(performance.now() - sinceMs);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  const { user, system } = process.cpuUsage(cpu);
  latenciesMs.sort((one, other) => one - other);
  const records = latenciesMs.length;
  return { records, seconds: (performance.now() - startedMs) / 1000, cpuUs: (user + system) / records, latenciesMs };
}

function print(what: string, { records, seconds, cpuUs, latenciesMs }: Measured): void {
  const at = (share: number) => (latenciesMs[Math.floor(records * share)] ?? 0).toFixed(1);
  console.log(`| ${what} | ${Math.round(records / seconds)}/s | ${at(0.5)} / ${at(0.99)} ms | ${cpuUs.toFixed(1)} µs |`);
}

async function replay(log: Log): Promise<void> {
  const [cpu, startedMs] = [process.cpuUsage(), performance.now()];
  let records = 0;
  const read = async (lane: number) => {
    const { low, high } = await log.marks('mail.lane', lane);
    if (low === high) return;
    for await (const some of log.follow('mail.lane', lane, low, new AbortController().signal)) {
      records += some.length;
      if ((some.at(-1)?.offset ?? 0) + 1 >= high) return;
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, lane) => read(lane)));
  const { user, system } = process.cpuUsage(cpu);
  print(`replay of ${lanes} lanes`, {
    records,
    seconds: (performance.now() - startedMs) / 1000,
    cpuUs: (user + system) / records,
    latenciesMs: [],
  });
}

const brokers = await startThrowawayBrokers({ count: Number(values.brokers), folder: await brokersFolder(), heapMiB: 384 });
try {
  const trial = await createTrial(brokers.addresses, { partitions: { 'mail.in': 24, 'mail.lane': lanes } });
  const log = await trial.open();
  const forMs = Number(values.seconds) * 1000;
  const appendAny = () => log.append('mail.in', log.anyPartition('mail.in'), [value]);
  const appendLane = () => log.append('mail.lane', Math.floor(Math.random() * lanes), [value]);
  await measure(100, 3000, appendAny);
  console.log('| | rate | p50 / p99 | processor per record |\n|---|---|---|---|');
  for (const callers of [10, 50, 800]) print(`mail.in, ${callers} callers`, await measure(callers, forMs, appendAny));
  for (const callers of [50, 400]) print(`${lanes} lanes, ${callers} callers`, await measure(callers, forMs, appendLane));
  await replay(log);
  await log.close();
} finally {
  await brokers.close();
}
