import { join } from 'node:path';
import { type Angarium, makeFolder, startAngarium, until } from '../e2e/angarium.ts';
import { type Load, startLoad } from '../e2e/load.ts';
import { openSession } from '../e2e/session.ts';
import { startDnsFixture } from '../fixtures/dns.ts';
import { startSmtpHost } from '../fixtures/smtp-host.ts';
import { type Prometheus, startPrometheus } from './prometheus.ts';

const RULES = new URL('../../deploy/chart/alerts/angarium.yaml', import.meta.url).pathname;
const [ACCOUNT, PASSWORD] = ['me@angarium.test', 'a password'];

/** Angarium with mail of every kind under way, and a Prometheus that watches it. */
export interface Watched {
  readonly prometheus: Prometheus;
  readonly taken: () => number;
  close(): Promise<void>;
}

/** A session that reads what there is, after a wrong password. */
async function readMail(address: string): Promise<void> {
  const session = openSession(address, 'tls');
  await session.line();
  const ask = async (line: string) => {
    session.send(`${line}\r\n`);
    return session.line();
  };
  await ask(`USER ${ACCOUNT}`);
  await ask('PASS wrong');
  await ask(`USER ${ACCOUNT}`);
  await ask(`PASS ${PASSWORD}`);
  session.send('RETR 1\r\n');
  for (let line = await session.line(); line !== '.' && !line.startsWith('-ERR'); line = await session.line());
  await ask('QUIT');
  session.end();
}

/** A TLS session, a refused recipient, a wrong command. */
async function talk(address: string): Promise<void> {
  const session = openSession(address, 'tls');
  await session.reply();
  for (const line of ['EHLO client.test', 'NOSUCH', 'MAIL FROM:<a@client.test>', 'QUIT']) await session.ask(line);
  session.end();
}

async function prepare(main: Angarium, port: number): Promise<void> {
  const command = async (args: readonly string[], stdin = '') => {
    const { code, stderr } = await main.command(args, stdin);
    if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  };
  await command(['account', 'set', ACCOUNT, '--password'], `${PASSWORD}\n`).catch(() =>
    command(['account', 'add', ACCOUNT], `${PASSWORD}\n`),
  );
  for (const domain of ['far.test', 'client.test'])
    await command(['transport', 'add', domain, 'smarthost', `127.0.0.1:${port}`, '--tls', 'never']);
}

export async function startWatched(): Promise<Watched> {
  const [one, other, third] = [await makeFolder(), await makeFolder(), await makeFolder()];
  const dns = await startDnsFixture({});
  const host = await startSmtpHost({
    answers: {
      RCPT: (line) => (line.includes('<gone') ? '550 5.1.1 no such user' : line.includes('<later') ? '450 4.2.1 later' : '250 2.1.5 ok'),
    },
  });
  const [directory, at] = ['directory', 'mailbox'].map((name) => `unix:${join(one.folder, `${name}.sock`)}`);
  const quick = {
    delivery: { housekeepingMs: '1s', dnsServers: [dns.server] },
    ingress: { relayNetworks: ['127.0.0.0/8'], maxConnectionsPerClient: 100 },
  };
  const main = await startAngarium(one.folder, { ...quick, directoryListen: directory, mailboxAt: at });
  const mailbox = await startAngarium(other.folder, { mailbox: { rpcListen: at, directory } }, 'mailbox');
  const scaler = await startAngarium(third.folder, { scaling: { workersAt: [main.addresses.metrics], everyMs: '1s' } }, 'scaler');
  await prepare(main, host.port);
  const all = [main, mailbox, scaler];
  const prometheus = await startPrometheus({
    folder: join(one.folder, 'prometheus'),
    targets: all.map(({ addresses }) => addresses.metrics),
    rules: RULES,
  });
  const to = [ACCOUNT, 'someone@far.test', 'gone@far.test', 'later@far.test', 'someone@nowhere.test', 'nobody@angarium.test'];
  const address = main.addresses.mx[0] ?? '';
  const loads: Load[] = [
    startLoad({ address, sessions: 2, perSecond: 40, recipient: (number) => to[number % to.length] ?? '', name: 'small' }),
    startLoad({ address, sessions: 1, perSecond: 2, octets: 100_000, recipient: () => ACCOUNT, name: 'large' }),
  ];
  const taken = () => loads.reduce((sum, load) => sum + load.taken.size, 0);
  await until(async () => (taken() > 60 ? true : undefined), 30_000);
  await readMail(mailbox.addresses.pop3s[0] ?? '');
  await talk(main.addresses.submissions[0] ?? '');
  return {
    prometheus,
    taken,
    close: async () => {
      await Promise.all(loads.map((load) => load.stop()));
      await prometheus.close();
      await Promise.all(all.map((angarium) => angarium.stop()));
      await Promise.all([host.close(), dns.close()]);
      await Promise.all([one, other, third].map(({ remove }) => remove()));
    },
  };
}
