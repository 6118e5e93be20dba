import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import pg, { type ClientBase, type ClientConfig } from 'pg';
import { SqlError } from '../error.ts';

export interface PostgresTls {
  /** Authority that signed the server's certificate, PEM; left out: the system's authorities. */
  readonly authorityFile?: string | undefined;
  /** Our own certificate and key, where the server asks for them. */
  readonly certificateFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export interface PostgresServer {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Read at each connect, so that a changed password is taken up; a line end behind it is no part of it. */
  readonly passwordFile?: string | undefined;
  /** Left out: no TLS. */
  readonly tls?: PostgresTls | undefined;
  readonly schema: string;
  /** Name that the server lists for our connections. */
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
}

export const placeOf = ({ host, port, database }: PostgresServer): string => `${host}:${port}/${database}`;

/** Longest silence of a vanished peer before the server or we end the connection: about 25 s. */
const KEEPALIVE = { tcp_keepalives_idle: 10, tcp_keepalives_interval: 5, tcp_keepalives_count: 3 };

const INT8 = 20;
const NUMERIC = 1700;

/** Numbers come back as numbers: `bigint` columns, and the sums over them. */
function toNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} from the database is no safe integer`);
  return value;
}

const types = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === INT8 || oid === NUMERIC ? toNumber : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

async function tlsOf({ tls, host }: PostgresServer): Promise<ConnectionOptions | undefined> {
  if (tls === undefined) return undefined;
  const read = async (file: string | undefined) => (file === undefined ? undefined : readFile(file));
  const [ca, cert, key] = await Promise.all([read(tls.authorityFile), read(tls.certificateFile), read(tls.keyFile)]);
  return { servername: host, minVersion: 'TLSv1.2', ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

/** Settings of every connection. The files of TLS are read once, at the start. */
export async function clientConfig(server: PostgresServer): Promise<ClientConfig> {
  const { host, port, database, user, passwordFile, schema, applicationName, connectTimeoutMs } = server;
  const ssl = await tlsOf(server);
  const options = Object.entries({ search_path: schema, ...KEEPALIVE }).map(([name, value]) => `-c ${name}=${value}`);
  return {
    ...{ host, port, database, user, types },
    ...(passwordFile === undefined ? {} : { password: async () => (await readFile(passwordFile, 'utf8')).replace(/\r?\n$/, '') }),
    ...(ssl === undefined ? {} : { ssl }),
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    options: options.join(' '),
  };
}

const OLDEST_VERSION = 140_000;

/**
 * Refuses a server that would not keep what it was told: mail that was answered with 250 must be on its disk.
 *
 * @throws SqlError that names the setting and the cure
 */
export async function checkServer(client: ClientBase, place: string): Promise<void> {
  const { rows } = await client.query(
    `select current_setting('synchronous_commit') as commit, current_setting('fsync') as fsync, current_setting('server_encoding') as encoding,
       current_setting('server_version_num')::int as version, pg_is_in_recovery() as standby`,
  );
  const { commit, fsync, encoding, version, standby } = rows[0];
  const refuse = (text: string, cure: string) => {
    throw new SqlError('ERROR', `PostgreSQL ${place}: ${text}: ${cure}`, { trouble: 'unavailable' });
  };
  if (standby) refuse('this is a standby, which takes no writes', 'name the primary');
  if (commit !== 'on' && commit !== 'remote_apply') {
    refuse(
      `synchronous_commit is ${commit}, so that a crash loses mail that was accepted`,
      'set it to on, also for this role and database',
    );
  }
  if (fsync !== 'on') refuse('fsync is off, so that a crash loses mail that was accepted', 'set fsync to on');
  if (encoding !== 'UTF8') refuse(`the database is encoded in ${encoding}`, "make it anew with encoding 'UTF8'");
  if (version < OLDEST_VERSION) refuse(`version ${version} is too old`, 'PostgreSQL 14 or newer is needed');
}
