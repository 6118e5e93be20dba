import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, chown, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cpuUsOf, type Mta, memoryMibOf, type StartMta, until, type Way } from './mta.ts';

const MASTER_CF = '/usr/share/postfix/master.cf.dist';
const START_MS = 15_000;

/** What is missing for Postfix on this machine, in words that say how to get it; undefined: nothing. */
export function postfixMissing(): string | undefined {
  if (!existsSync('/usr/sbin/postfix') || !existsSync(MASTER_CF)) return 'Postfix is not installed: apt-get install postfix';
  if (process.getuid?.() !== 0) return 'Postfix must be started by root';
  return undefined;
}

export const postfixVersion = (): string => execFileSync('/usr/sbin/postconf', ['-d', '-h', 'mail_version'], { encoding: 'utf8' }).trim();

const idOf = (database: 'passwd' | 'group', name: string): number =>
  Number(
    readFileSync(`/etc/${database}`, 'utf8')
      .split('\n')
      .find((line) => line.startsWith(`${name}:`))
      ?.split(':')[2] ?? 0,
  );

/** Stock settings; what is not stock names folders, ports and where mail goes. */
function mainCf(folder: string, { relay = {}, isHeld = false, local }: Way): string {
  const transports = Object.entries(relay).map(([domain, host]) => `${domain}=smtp:[${host.replace(':', ']:')}`);
  const lines = [
    'compatibility_level = 3.6',
    `queue_directory = ${folder}/spool`,
    `data_directory = ${folder}/lib`,
    'myhostname = bench.test',
    'mydestination =',
    'mynetworks = 127.0.0.0/8',
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    'alias_maps =',
    'alias_database =',
    'message_size_limit = 52428800',
    `maillog_file_prefixes = ${folder}`,
    `maillog_file = ${folder}/maillog`,
    `relay_domains = ${[...Object.keys(relay), ...(isHeld ? ['sink.test'] : [])].join(' ')}`,
  ];
  if (transports.length > 0) lines.push(`transport_maps = inline:{ ${transports.join(' ')} }`);
  if (isHeld) lines.push('smtpd_client_restrictions = check_client_access static:HOLD');
  if (local !== undefined)
    lines.push(
      `virtual_mailbox_domains = ${local}`,
      `virtual_mailbox_base = ${folder}/mail`,
      `virtual_mailbox_maps = inline:{ ${Array.from({ length: 10 }, (_, user) => `u${user}@${local}=u${user}/`).join(' ')} }`,
      `virtual_uid_maps = static:${idOf('passwd', 'postfix')}`,
      `virtual_gid_maps = static:${idOf('group', 'postfix')}`,
      'virtual_minimum_uid = 1',
      'virtual_mailbox_limit = 0',
    );
  return `${lines.join('\n')}\n`;
}

/** The distribution's services without chroot, smtpd at our port. */
function masterCf(port: number): string {
  const services = readFileSync(MASTER_CF, 'utf8').replace(/^smtp +inet.*$/m, `127.0.0.1:${port} inet n - n - - smtpd`);
  return services.replace(/^(\w+ +(?:unix|fifo) +\S+ +\S+ +)y( )/gm, '$1n$2');
}

function filesIn(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
}

/** An instance of its own. Started and ended by pid. */
export const startPostfix =
  (scratch: string, port: number): StartMta =>
  async (way) => {
    await mkdir(scratch, { recursive: true });
    const folder = await mkdtemp(join(scratch, 'postfix-'));
    for (const name of ['etc', 'spool', 'lib', 'mail']) await mkdir(join(folder, name));
    await chmod(scratch, 0o755);
    await chmod(folder, 0o755);
    for (const name of ['lib', 'mail']) await chown(join(folder, name), idOf('passwd', 'postfix'), idOf('group', 'postfix'));
    await cp('/etc/postfix/dynamicmaps.cf', join(folder, 'etc/dynamicmaps.cf')).catch(() => {});
    await writeFile(join(folder, 'etc/main.cf'), mainCf(folder, way));
    await writeFile(join(folder, 'etc/master.cf'), masterCf(port));
    const run = (...args: string[]) => spawnSync('/usr/sbin/postfix', ['-c', join(folder, 'etc'), ...args], { encoding: 'utf8' });
    const started = run('start');
    const pidFile = join(folder, 'spool/pid/master.pid');
    const isUp = () => existsSync(pidFile) && Number(readFileSync(pidFile, 'utf8')) > 0;
    if (!(await until(isUp, START_MS))) throw new Error(`postfix did not start: ${started.stderr}`);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    return {
      name: 'Postfix',
      smtp: { host: '127.0.0.1', port },
      cpuUs: () => cpuUsOf(pid),
      memoryMib: () => memoryMibOf(pid),
      delivered: async () => filesIn(join(folder, 'mail')),
      queued: async () => ['deferred', 'hold'].reduce((sum, name) => sum + filesIn(join(folder, 'spool', name)), 0),
      flush: async () => void spawnSync('/usr/sbin/postqueue', ['-c', join(folder, 'etc'), '-f']),
      loopDelayP99Ms: async () => undefined,
      stop: async () => {
        run('stop');
        await until(() => !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z '), START_MS);
        await rm(folder, { recursive: true, force: true });
      },
    } satisfies Mta;
  };
