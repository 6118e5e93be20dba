// npm run kafka [-- --brokers 3] [--version 4.4.0] [--port 19090] [--folder data/kafka]: real brokers on this machine, for trying
// things out. Ctrl-C stops them; their data stays.
import { parseArgs } from 'node:util';
import { startBrokers } from './brokers.ts';
import { brokersMissing, KAFKA_VERSIONS } from './jars.mjs';

const { values } = parseArgs({
  options: {
    brokers: { type: 'string', default: '1' },
    version: { type: 'string', default: KAFKA_VERSIONS.newest },
    port: { type: 'string', default: '19090' },
    folder: { type: 'string' },
  },
});
const { version } = values;
const count = Number(values.brokers);
const missing = brokersMissing(version);
if (missing !== undefined) {
  console.error(
    `Kafka ${version} cannot run here: ${missing}\nIt needs Java 17 (apt-get install default-jre-headless) and, once, Maven (apt-get install maven).`,
  );
  process.exit(1);
}
const folder = values.folder ?? new URL(`../../data/kafka-${version}-${count}`, import.meta.url).pathname;
const brokers = await startBrokers({ count, version, folder, basePort: Number(values.port) });
const list = brokers.addresses.join(',');
const replicas = Math.min(3, count);
console.log(`
Kafka ${version}, ${count} ${count === 1 ? 'broker' : 'brokers'}: ${list}
Data in ${folder}

For Angarium:
  export ANGARIUM_KAFKA__BROKERS='[${brokers.addresses.map((address) => `"${address}"`).join(', ')}]'
  export ANGARIUM_KAFKA__REPLICATION_FACTOR=${replicas} ANGARIUM_KAFKA__MIN_IN_SYNC_REPLICAS=${Math.min(2, count)}
  npx angarium topics create
  npx angarium topics check

Ctrl-C stops the ${count === 1 ? 'broker' : 'brokers'}.`);
const stop = async () => {
  await Promise.all(brokers.ids.map((id) => brokers.stop(id)));
  process.exit(0);
};
process.once('SIGINT', () => void stop());
process.once('SIGTERM', () => void stop());
