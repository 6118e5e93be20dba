import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../e2e/angarium.ts';
import { openSession } from '../e2e/session.ts';
import type { World } from './world.ts';

/** One thing that goes wrong, or is done to a running cluster. */
export interface Row {
  readonly name: string;
  readonly title: string;
  /** May say what else was measured. */
  readonly happen: (world: World) => Promise<string | undefined>;
  /**
   * Most copies beyond the first: what was on the wire when somebody died or stood still. None where nobody did.
   */
  readonly copiesAtMost: number;
  /** Longest time without a 250 from any door; left out: as long as what happens lasts. */
  readonly acceptSilenceAtMostMs?: number;
  readonly octets?: number;
  readonly perSecond?: number;
}

/** Connections that a worker may have open to the host at once. */
const ON_THE_WIRE = 20;
const PER_SECOND = 60;
export const perSecondOf = ({ perSecond = PER_SECOND }: Row): number => perSecond;

const again = async ({ cluster }: World, name: string): Promise<undefined> => {
  await cluster.kill(name);
  await cluster.start(name);
};

const restart = async ({ cluster }: World, name: string): Promise<undefined> => {
  const code = await cluster.stop(name);
  if (code !== 0) throw new Error(`${name} ended with ${code}`);
  await cluster.start(name);
};

const killed = (name: string, copiesAtMost: number): Row => ({
  name: `kill-${name.replace(/-\d$/, '')}`,
  title: `kill -9 of ${name}, started again`,
  happen: (world) => again(world, name),
  copiesAtMost,
});

const SILENT_MS = 20_000;
const STOPPED_MS = 60_000;

const WAITING = 100_000;
const EACH = 100;
const FILL_MS = 180_000;
/** Of issue and design: lanes deliver again so long after their owner was killed, replay included. */
const TAKEN_OVER_WITHIN_MS = 15_000;

const sumOver = async ({ cluster }: World, metric: string): Promise<number> => {
  const values = await Promise.all(cluster.of('delivery').map((one) => one.metric(metric)));
  return values.reduce((sum, one) => sum + one, 0);
};

/** Mail to a host that is not there, until so many recipients wait for their second attempt. */
async function fill(world: World): Promise<undefined> {
  const session = openSession(world.cluster.one('ingress-1').addresses.mx[0] ?? '');
  await session.reply();
  await session.ask('EHLO client.test');
  const to = Array.from({ length: EACH }, (_, number) => `RCPT TO:<u${number}@dead.test>\r\n`).join('');
  for (let sent = 0; sent < WAITING; sent += EACH) {
    session.send(`MAIL FROM:<>\r\n${to}DATA\r\n`);
    for (let replies = EACH + 2; replies > 0; replies--) await session.reply();
    const { code } = await session.ask('Subject: waits\r\n\r\nIt waits.\r\n.');
    if (code !== 250) throw new Error(`a message that was to wait: ${code}`);
  }
  session.end();
  await until(async () => ((await sumOver(world, 'angarium_delivery_recipients_waiting')) >= WAITING ? true : undefined), FILL_MS);
}

async function takeOver(world: World): Promise<string> {
  const { cluster } = world;
  await fill(world);
  const lanes = await cluster.one('delivery-1').metric('angarium_delivery_lanes_live');
  const all = await sumOver(world, 'angarium_delivery_lanes_live');
  await cluster.kill('delivery-1');
  const killedMs = performance.now();
  await until(async () => ((await sumOver(world, 'angarium_delivery_lanes_live')) === all ? true : undefined), FILL_MS);
  const tookMs = performance.now() - killedMs;
  await cluster.start('delivery-1');
  for (const one of cluster.of('delivery')) await one.command(['queue', 'delete', '--domain', 'dead.test']);
  if (tookMs > TAKEN_OVER_WITHIN_MS) throw new Error(`the lanes had owners again after ${Math.round(tookMs)} ms`);
  return `${lanes} lanes had owners again after ${(tookMs / 1000).toFixed(1)} s`;
}

/** In their order: what a cluster has to live through. */
export const ROWS: readonly Row[] = [
  { ...killed('ingress-1', 0), acceptSilenceAtMostMs: 5_000 },
  killed('routing-1', 0),
  killed('delivery-1', ON_THE_WIRE),
  killed('mailbox-1', 0),
  {
    name: 'kill-broker',
    title: 'kill -9 of a broker, started again',
    happen: async ({ brokers }) => {
      await brokers.kill(1);
      await pause(8_000);
      await brokers.boot(1);
    },
    copiesAtMost: ON_THE_WIRE,
    acceptSilenceAtMostMs: 10_000,
  },
  {
    name: 'silent-broker',
    title: 'a broker that stands still for 20 s: its connections stay open, and nobody answers',
    happen: async ({ brokers }) => {
      brokers.pause(2);
      await pause(SILENT_MS).finally(() => brokers.resume(2));
    },
    copiesAtMost: ON_THE_WIRE,
    acceptSilenceAtMostMs: 10_000,
  },
  {
    name: 'rolling-brokers',
    title: 'rolling restart of the brokers',
    happen: async ({ brokers }) => {
      for (const id of brokers.ids) {
        await brokers.stop(id);
        await brokers.boot(id);
      }
    },
    copiesAtMost: 0,
    acceptSilenceAtMostMs: 10_000,
  },
  {
    name: 'two-brokers-down',
    title: 'two of three brokers down for 20 s',
    happen: async ({ brokers }) => {
      await Promise.all([brokers.kill(1), brokers.kill(2)]);
      await pause(SILENT_MS);
      await Promise.all([brokers.boot(1, 1), brokers.boot(2, 1)]);
    },
    copiesAtMost: 3 * ON_THE_WIRE,
  },
  {
    name: 'all-brokers',
    title: 'kill -9 of all brokers, started again',
    happen: async ({ brokers }) => {
      await Promise.all(brokers.ids.map((id) => brokers.kill(id)));
      await Promise.all(brokers.ids.map((id) => brokers.boot(id, 1)));
    },
    copiesAtMost: 3 * ON_THE_WIRE,
  },
  {
    name: 'stopped-worker',
    title: 'a delivery worker stands still for 60 s (SIGSTOP), and goes on',
    happen: async ({ cluster }) => {
      const { pid } = cluster.one('delivery-2');
      process.kill(pid, 'SIGSTOP');
      await pause(STOPPED_MS).finally(() => process.kill(pid, 'SIGCONT'));
    },
    copiesAtMost: ON_THE_WIRE,
    acceptSilenceAtMostMs: 5_000,
  },
  {
    name: 'postgres',
    title: 'PostgreSQL ends as by a crash, and is back after 10 s',
    happen: async ({ postgres }) => {
      await postgres.end('SIGQUIT');
      await pause(10_000);
      await postgres.start();
    },
    copiesAtMost: 0,
  },
  {
    name: 's3',
    title: 'the S3 server killed, and back after 30 s; contents of 100 KB',
    happen: async ({ s3 }) => {
      await s3.kill();
      await pause(30_000);
      await s3.start();
    },
    copiesAtMost: 0,
    octets: 100_000,
    perSecond: 10,
  },
  {
    name: 'rolling-services',
    title: 'rolling restart of all services (SIGTERM)',
    happen: async (world) => {
      for (const name of [...world.cluster.running.keys()].sort()) await restart(world, name);
    },
    copiesAtMost: 0,
    acceptSilenceAtMostMs: 10_000,
  },
  {
    name: 'scale',
    title: 'delivery scaled out by two and in again',
    happen: async ({ cluster }) => {
      const names = ['delivery-4', 'delivery-5'];
      for (const name of names) await cluster.start(name);
      await pause(10_000);
      for (const name of names) {
        const code = await cluster.stop(name);
        if (code !== 0) throw new Error(`${name} ended with ${code}`);
      }
    },
    copiesAtMost: 0,
    acceptSilenceAtMostMs: 5_000,
  },
  {
    name: 'takeover',
    title: 'kill -9 of a worker while 100,000 recipients wait',
    happen: takeOver,
    copiesAtMost: ON_THE_WIRE,
    acceptSilenceAtMostMs: 5_000,
  },
];
