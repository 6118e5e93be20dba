import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../fixtures/ports.ts';
import { fetchGateway, GATEWAY_VERSION, gatewayMissing } from './gateway.mjs';

/** A real S3 server (versitygw over a folder) on 127.0.0.1. */
export interface TestS3 {
  readonly endpoint: string;
  /** Keys of an account that may do all, as `blobs.s3.credentialsFile` wants them. */
  readonly credentialsFile: string;
  /** What the server keeps, a folder a bucket. */
  readonly folder: string;
  /** Makes an empty bucket and gives its name. */
  createBucket(): Promise<string>;
  /** Starts it again on its port and its data. */
  start(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP: it is connected to, and does not answer. */
  pause(): void;
  resume(): void;
  /** Ends it and removes its data. It also ends when this process is gone, however it ended. */
  close(): Promise<void>;
}

const START_WITHIN_MS = 30_000;
/** Outlives what a terminal or a time limit sends to the whole group. */
const GUARD = `trap '' HUP INT TERM; cat >/dev/null; kill -9 $0; rm -rf "$1"`;

const answers = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, host, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

/** True when the server can run here; says loudly when a suite is left out, and fails in CI. */
export function hasS3(suite: string): boolean {
  const missing = gatewayMissing();
  if (missing === undefined) return true;
  if (process.env.CI === 'true') {
    test(`${suite}: versitygw ${GATEWAY_VERSION} must be there in CI`, () => {
      throw new Error(missing);
    });
  } else {
    console.log(`LEFT OUT: ${suite}: versitygw ${GATEWAY_VERSION} cannot be had (${missing}). It needs Go, once: npm run tools.`);
    test(suite, { skip: 'no S3 server' }, () => {});
  }
  return false;
}

/** Starts an S3 server in a folder of its own. Some tenths of a second. */
export async function startS3(
  options: { readonly certificateFile?: string; readonly keyFile?: string; readonly host?: string } = {},
): Promise<TestS3> {
  const program = fetchGateway();
  const root = await mkdtemp(join(tmpdir(), 'angarium-s3-'));
  const folder = join(root, 'data');
  // Metadata in files: not every folder for temporary files has extended attributes.
  const metadata = join(root, 'metadata');
  for (const made of [folder, metadata]) await mkdir(made);
  const { certificateFile, keyFile, host = '127.0.0.1' } = options;
  const port = await freePort();
  const endpoint = certificateFile ? `https://localhost:${port}` : `http://${host}:${port}`;
  const [access, secret] = [`key${randomBytes(4).toString('hex')}`, randomBytes(16).toString('hex')];
  const credentialsFile = join(root, 'credentials');
  await writeFile(credentialsFile, `[default]\naws_access_key_id = ${access}\naws_secret_access_key = ${secret}\n`, { mode: 0o600 });
  const output = join(root, 'output.txt');
  const tls = certificateFile && keyFile ? ['--cert', certificateFile, '--key', keyFile] : [];

  let server: ChildProcess | undefined;
  const start = async () => {
    const log = openSync(output, 'a');
    const started = spawn(
      program,
      ['--port', `${host}:${port}`, '--keep-alive', '--quiet', ...tls, 'posix', '--sidecar', metadata, folder],
      {
        env: { ...process.env, ROOT_ACCESS_KEY: access, ROOT_SECRET_KEY: secret },
        stdio: ['ignore', log, log],
      },
    );
    closeSync(log);
    const guard = spawn('sh', ['-c', GUARD, String(started.pid), root], { stdio: ['pipe', 'ignore', 'ignore'] });
    started.once('exit', () => guard.kill('SIGKILL'));
    server = started;
    const deadline = performance.now() + START_WITHIN_MS;
    while (!(await answers(host, port))) {
      if (started.exitCode !== null || performance.now() > deadline)
        throw new Error(`versitygw does not start:\n${await readFile(output, 'utf8')}`);
      await pause(20);
    }
  };
  const kill = async () => {
    const ending = server;
    server = undefined;
    if (ending === undefined || ending.exitCode !== null) return;
    const ended = once(ending, 'exit');
    ending.kill('SIGKILL');
    await ended;
  };
  await start();
  let buckets = 0;
  return {
    endpoint,
    credentialsFile,
    folder,
    createBucket: async () => {
      const name = `bucket-${++buckets}`;
      await mkdir(join(folder, name));
      return name;
    },
    start,
    kill,
    pause: () => void server?.kill('SIGSTOP'),
    resume: () => void server?.kill('SIGCONT'),
    close: async () => {
      await kill();
      await rm(root, { recursive: true, force: true });
    },
  };
}
