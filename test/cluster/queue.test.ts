import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { accounting, makeFolder, until } from '../e2e/angarium.ts';
import { startLoad } from '../e2e/load.ts';
import { startBrokers } from '../kafka/brokers.ts';
import { brokersFolder, hasBrokers, isExisting } from '../kafka/fixtures.ts';
import { startCluster } from './cluster.ts';
import { startSink } from './sink.ts';

/* The queue tools ask one of three workers, and are told of the whole cluster. */

const WAITING = 60;
const DOMAINS = 10;

interface Listed {
  readonly queueId: string;
  readonly address: string;
  readonly lane: number;
}

if (!isExisting && hasBrokers('the queue of a cluster')) {
  const { folder, remove } = await makeFolder();
  const brokers = await startBrokers({ count: 1, folder: await brokersFolder() });
  const sink = await startSink();
  const cluster = await startCluster({
    ...{ folder, brokers: brokers.addresses, counts: { routing: 1, mailbox: 1, ingress: 1, delivery: 3 } },
    // Nobody takes over before it was seen that somebody must.
    config: { delivery: { housekeepingMs: '1s' } },
  });
  after(async () => {
    await cluster.close();
    await Promise.all([brokers.close(), sink.close()]);
    await remove();
  });
  const ask = async (name: string, args: readonly string[]) => {
    const { code, stdout, stderr } = await cluster.one(name).command(args);
    return { code, text: stdout + stderr };
  };
  const list = async (name: string, ...more: readonly string[]): Promise<readonly Listed[]> =>
    JSON.parse((await ask(name, ['queue', 'list', '--limit', '1000', '--json', ...more])).text) as Listed[];
  const idsOf = (some: readonly Listed[]) => some.map(({ queueId }) => queueId).toSorted();

  test('whichever worker is asked lists, shows, sums up and flushes what waits in the lanes of all', { timeout: 120_000 }, async () => {
    // A domain’s mail is in one lane.
    const dead = Array.from({ length: DOMAINS }, (_, number) => [`d${number}.test`, 9] as const);
    for (const [domain, port] of [...dead, ['sink.test', sink.port] as const])
      await ask('routing-1', ['transport', 'add', domain, 'smarthost', `127.0.0.1:${port}`, '--tls', 'never']);
    const address = cluster.one('ingress-1').addresses.mx[0] ?? '';
    const load = startLoad({ address, sessions: 3, recipient: (number) => `u@d${number % DOMAINS}.test`, name: 'dead', messages: WAITING });
    await load.done;
    assert.equal(load.taken.size, WAITING);
    const all = await until(async () => {
      const found = await list('delivery-1', '--state', 'deferred');
      return found.length === WAITING ? found : undefined;
    }, 60_000);
    assert.ok(new Set(all.map(({ lane }) => lane)).size > 3, 'they are in lanes of several workers');
    for (const name of ['delivery-2', 'delivery-3']) assert.deepEqual(idsOf(await list(name)), idsOf(all), name);
    assert.match((await ask('delivery-2', ['queue', 'list', '--limit', '7'])).text, new RegExp(`7 of ${WAITING} recipients`));
    const [first] = all;
    for (const name of ['delivery-1', 'delivery-2', 'delivery-3'])
      assert.match((await ask(name, ['queue', 'why', first?.queueId ?? ''])).text, new RegExp(`<${first?.address}>`), name);
    assert.match((await ask('delivery-3', ['queue', 'summary'])).text, new RegExp(`^${WAITING} recipients`));
    assert.match((await ask('delivery-1', ['queue', 'flush', '--all'])).text, new RegExp(`${WAITING} recipients are tried now`));
    const lanes = JSON.parse((await ask('delivery-2', ['lanes', '--json'])).text) as { lanes: { worker: string; epoch: number }[] };
    assert.equal(new Set(lanes.lanes.map(({ worker }) => worker)).size, 3);
  });

  test('lanes of a worker that was killed are named until another one has them; then everything is there again', {
    timeout: 120_000,
  }, async () => {
    await cluster.kill('delivery-3');
    const { text } = await ask('delivery-1', ['queue', 'list', '--limit', '1000']);
    assert.match(text, /lanes [\d, ]+ are being taken over/);
    await until(async () => ((await list('delivery-2')).length === WAITING ? true : undefined), 60_000);
    await until(async () => (/being taken over/.test((await ask('delivery-1', ['queue', 'summary'])).text) ? undefined : true), 60_000);
  });

  test('what one worker is told to suspend stops everywhere within 2 s, and goes on everywhere', { timeout: 120_000 }, async () => {
    const address = cluster.one('ingress-1').addresses.mx[0] ?? '';
    const load = startLoad({ address, sessions: 2, perSecond: 60, recipient: (number) => `u${number}@sink.test`, name: 'sink' });
    const arrived = () => sink.copies().size;
    await until(async () => (arrived() > 60 ? true : undefined), 30_000);
    assert.equal((await ask('delivery-1', ['queue', 'suspend', 'domain:sink.test'])).code, 0);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const then = arrived();
    const taken = load.taken.size;
    await until(async () => (load.taken.size > taken + 120 ? true : undefined), 30_000);
    assert.equal(arrived(), then, 'nothing is sent more than 2 s later');
    assert.equal((await ask('delivery-2', ['queue', 'resume', 'domain:sink.test'])).code, 0);
    await load.stop();
    await until(async () => ([...load.taken].every((id) => sink.copies().has(id)) ? true : undefined), 60_000);
  });

  test('what is deleted at one worker is gone in all lanes, and the count closes', { timeout: 120_000 }, async () => {
    await until(async () => ((await list('delivery-2')).length === WAITING ? true : undefined), 30_000);
    assert.match((await ask('delivery-2', ['queue', 'delete', '--all'])).text, new RegExp(`${WAITING} recipients deleted`));
    assert.deepEqual(await list('delivery-1'), []);
    await until(async () => {
      const counts = await Promise.all(cluster.of('delivery').map(accounting));
      return counts.some(({ discarded, queued, difference }) => discarded === WAITING && queued === 0 && difference === 0) || undefined;
    }, 30_000);
  });
}
