import { execFile, execFileSync, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { delimiter } from 'node:path';

/*
 * Mail clients and hosts that are not ours, as functions. Each runs its program to the end and gives what it said; none
 * waits longer than LIMIT_S.
 */

const TOOLS = new URL('../../.cache/tools/bin', import.meta.url).pathname;
const ENVIRONMENT = { ...process.env, PATH: [process.env.PATH ?? '', TOOLS, '/usr/sbin'].join(delimiter), LC_ALL: 'C' };
const LIMIT_S = 30;
const SINK = 'smtp-sink';

type Program = 'curl' | 'swaks' | 'python3' | 'smtp-source' | 'smtp-sink';

const SOURCES: Readonly<Record<Program, string>> = {
  curl: 'your package manager',
  python3: 'your package manager',
  swaks: 'npm run tools',
  'smtp-source': 'npm run tools',
  'smtp-sink': 'npm run tools',
};

function isThere(program: Program): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v "$0"', program], { env: ENVIRONMENT, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * For the `skip` option of a test: false when all programs are there. Where one is missing, this is said loudly and the
 * test is left out; in CI it runs all the same, and fails.
 */
export function need(...programs: readonly Program[]): string | false {
  const missing = programs.filter((program) => !isThere(program));
  if (missing.length === 0) return false;
  const text = missing.map((program) => `MISSING PROGRAM: ${program} (comes from ${SOURCES[program]})`).join(', ');
  console.error(text);
  return process.env.CI ? false : text;
}

export interface ClientResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** @throws when the program is not there */
function runClient(program: Program, args: readonly string[], stdin = ''): Promise<ClientResult> {
  return new Promise((resolve, reject) => {
    const options = { env: ENVIRONMENT, maxBuffer: 2 ** 28, timeout: (LIMIT_S + 5) * 1000, encoding: 'latin1' } as const;
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
      else reject(new Error(`${program}: ${error.message}`, { cause: error }));
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin, 'latin1');
  });
}

export interface CurlSend {
  /** "smtp://host:port" or "smtps://host:port". */
  readonly url: string;
  readonly from: string;
  readonly to: readonly string[];
  /** The message, with CRLF line ends. */
  readonly message: string;
  /** "login:password" */
  readonly user?: string;
  /** STARTTLS or nothing; the certificate is not verified. */
  readonly requireTls?: boolean;
  /** The connection begins with a PROXY header, as a balancer's. */
  readonly proxyHeader?: boolean;
}

/** Sends a message; code 0 when the server took it, 55 when it refused a recipient or the sender, 67 the login. */
export function curlSend({ url, from, to, message, user, requireTls, proxyHeader }: CurlSend): Promise<ClientResult> {
  const args = ['--silent', '--show-error', '--insecure', '--max-time', `${LIMIT_S}`, '--url', url, '--mail-from', from];
  for (const recipient of to) args.push('--mail-rcpt', recipient);
  if (user !== undefined) args.push('--user', user);
  if (requireTls === true) args.push('--ssl-reqd');
  if (proxyHeader === true) args.push('--haproxy-protocol');
  return runClient('curl', [...args, '--upload-file', '-'], message);
}

export interface CurlRead {
  /** "pop3s://host:port" or "pop3://host:port"; the latter with STLS or nothing. */
  readonly url: string;
  readonly user: string;
  /** Number of the message; without it, the list is read. */
  readonly message?: number;
}

/** Reads a message, or the list of all. */
export function curlRead({ url, user, message }: CurlRead): Promise<ClientResult> {
  const args = ['--silent', '--show-error', '--insecure', '--ssl-reqd', '--max-time', `${LIMIT_S}`, '--user', user];
  return runClient('curl', [...args, `${url}/${message ?? ''}`]);
}

/** Swaks' exit codes tell the phase that failed: 23 MAIL, 24 RCPT, 26 DATA, 28 AUTH, 29 TLS. */
export function swaks(args: readonly string[]): Promise<ClientResult> {
  return runClient('swaks', ['--timeout', `${LIMIT_S}s`, ...args]);
}

const PRELUDE = `
import sys, ssl, socket, smtplib, poplib
socket.setdefaulttimeout(${LIMIT_S})
host, port = sys.argv[1].rsplit(':', 1)
port = int(port)
args = sys.argv[2:]
context = ssl._create_unverified_context()
`;

import { freePort } from '../fixtures/ports.ts';

/**
 * Runs a Python script that has smtplib, poplib, `host` and `port` of the address, `args`, and a TLS `context` that
 * verifies nothing.
 */
export function python(script: string, address: string, ...args: readonly string[]): Promise<ClientResult> {
  return runClient('python3', ['-c', `${PRELUDE}\n${script}`, address, ...args]);
}

/** Postfix's load generator: `-s` sessions, `-m` messages, `-l` octets, `-r` recipients, then "host:port". */
export function smtpSource(args: readonly string[]): Promise<ClientResult> {
  return runClient('smtp-source', args);
}

export interface SmtpSink {
  /** "127.0.0.1:port" */
  readonly address: string;
  stop(): Promise<void>;
}

/** Postfix's host that takes all mail and keeps none. Listens when this resolves. */
export async function startSmtpSink(args: readonly string[] = []): Promise<SmtpSink> {
  const port = await freePort();
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn(SINK, [...asNobody, ...args, `127.0.0.1:${port}`, '100'], { env: ENVIRONMENT, stdio: 'ignore' });
  let isOver = false;
  const ended = new Promise<void>((resolve) => {
    for (const event of ['close', 'error']) {
      child.once(event, () => {
        isOver = true;
        resolve();
      });
    }
  });
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  // It says nothing when it listens.
  while (!isOver && !(await accepts(port))) await new Promise((resolve) => setTimeout(resolve, 20));
  if (isOver) throw new Error(`smtp-sink ${args.join(' ')} did not start`);
  return { address: `127.0.0.1:${port}`, stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
