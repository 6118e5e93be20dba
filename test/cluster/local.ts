// npm run cluster [-- --port 26000]: a small real cluster on this machine, for trying it out: three brokers, PostgreSQL, an S3
// server, two ingress, two routing, three delivery, two mailbox. Brokers that ANGARIUM_TEST_KAFKA names are used instead of new ones. Ctrl-C ends it,
// and its data goes.
import { parseArgs } from 'node:util';
import { makeFolder } from '../e2e/angarium.ts';
import { startBrokers } from '../kafka/brokers.ts';
import { brokersMissing, KAFKA_VERSIONS } from '../kafka/jars.mjs';
import { createTestDatabase } from '../postgres/database.ts';
import { startPostgres } from '../postgres/server.ts';
import { gatewayMissing } from '../s3/gateway.mjs';
import { startS3 } from '../s3/server.ts';
import { startCluster } from './cluster.ts';

const COUNTS = { routing: 2, mailbox: 2, ingress: 2, delivery: 3 };
const ACCOUNT = 'me@angarium.test';
const PASSWORD = 'try-it-out';

const { values } = parseArgs({ options: { port: { type: 'string', default: '26000' } } });
const existing = process.env.ANGARIUM_TEST_KAFKA?.split(',');
const missing = existing ? gatewayMissing() : (brokersMissing(KAFKA_VERSIONS.newest) ?? gatewayMissing());
if (missing !== undefined) {
  console.error(`A cluster cannot run here: ${missing}\nIt needs Java 17, Maven and Go, once, to fetch its parts: npm run tools.`);
  process.exit(2);
}

const { folder, remove } = await makeFolder();
const ends: (() => Promise<void>)[] = [remove];
const stop = async (code: number) => {
  for (const end of ends.reverse()) await end().catch((error: unknown) => console.error(error));
  process.exit(code);
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop(0));

async function start(): Promise<void> {
  const started = existing ? undefined : await startBrokers({ count: 3, folder: `${folder}/brokers` });
  if (started) ends.push(started.close);
  const s3 = await startS3();
  ends.push(s3.close);
  const { endpoint, credentialsFile } = s3;
  const postgres = await startPostgres();
  ends.push(postgres.close);
  const config = {
    postgres: await createTestDatabase(postgres.url),
    routing: { directoryEngine: 'postgres' },
    mailbox: { storeEngine: 'postgres' },
    blobs: { engine: 's3', s3: { bucket: await s3.createBucket(), endpoint, credentialsFile } },
  };
  const brokers = existing ?? started?.addresses ?? [];
  const cluster = await startCluster({ folder, brokers, counts: COUNTS, config, basePort: Number(values.port) });
  ends.push(cluster.close);
  const command = async (args: readonly string[], stdin = '') => {
    const { code, stderr } = await cluster.one('routing-1').command(args, stdin);
    if (code !== 0) throw new Error(stderr);
  };
  await command(['domain', 'add', 'angarium.test']);
  await command(['account', 'add', ACCOUNT], `${PASSWORD}\n`);
  const { addresses } = cluster.one('ingress-1');
  const pop3s = cluster.one('mailbox-1').addresses.pop3s[0];
  const login = `--user '${ACCOUNT}:${PASSWORD}'`;
  console.log(`
Brokers: ${brokers.join(', ')}   PostgreSQL: ${new URL(postgres.url).host}   S3: ${endpoint}
${[...cluster.running].map(([name, one]) => `  ${name.padEnd(12)} http://${one.addresses.metrics}/metrics   ${one.folder}`).join('\n')}

Send a mail:
  printf 'From: <${ACCOUNT}>\\nTo: <${ACCOUNT}>\\nSubject: hello\\n\\nHello.\\n' | sed 's/$/\\r/' |
    curl --silent --show-error --ssl-reqd --insecure --url smtp://${addresses.submission[0]} ${login} --mail-from '${ACCOUNT}' --mail-rcpt '${ACCOUNT}' --upload-file -
Read it:
  curl --silent --show-error --insecure --url pop3s://${pop3s}/1 ${login}
Look at it:
  npx angarium lanes --config ${cluster.one('delivery-1').folder}/angarium.yaml
  npx angarium queue list --config ${cluster.one('delivery-1').folder}/angarium.yaml

Ctrl-C ends everything.`);
}

await start().catch(async (error: unknown) => {
  console.error(error);
  await stop(1);
});
