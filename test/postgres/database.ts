import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from './server.ts';

/** Environment: URL of a server to use instead, such as `postgres://postgres:secret@127.0.0.1:5432/postgres`, of a role that may make databases. */
const EXISTING = 'ANGARIUM_TEST_POSTGRES';

export interface TestDatabase {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly passwordFile: string;
}

let server: Promise<string> | undefined;
let count = 0;
const passwordFiles = new Set<string>();
process.once('exit', () => {
  for (const file of passwordFiles) rmSync(file, { force: true });
});

/** URL of the server of this process; the first call starts it, unless the environment names one. */
const serverUrl = (): Promise<string> => {
  const existing = process.env[EXISTING];
  server ??= existing ? Promise.resolve(existing) : startPostgres().then(({ url }) => url);
  return server;
};

/** Makes an empty database for one test. It goes with the server; on a server from the environment it stays. */
export async function createTestDatabase(url?: string): Promise<TestDatabase> {
  const { hostname, port, username, password, href } = new URL(url ?? (await serverUrl()));
  const database = `angarium_test_${process.pid}_${++count}`;
  const client = new pg.Client(href);
  await client.connect();
  try {
    await client.query(`create database ${database} encoding 'UTF8' template template0`);
  } finally {
    await client.end();
  }
  const passwordFile = join(tmpdir(), `${database}.password`);
  writeFileSync(passwordFile, `${decodeURIComponent(password)}\n`, { mode: 0o600 });
  passwordFiles.add(passwordFile);
  return { host: hostname, port: Number(port || 5432), database, user: decodeURIComponent(username), passwordFile };
}
