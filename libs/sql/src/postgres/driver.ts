import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';
import type { Pool, PoolClient } from 'pg';
import { SqlBusy } from '../turns.ts';
import { endsConnection, toSqlError } from './errors.ts';

interface Connection extends DatabaseConnection {
  /** Gives the connection back; a broken one is closed. */
  release(): void;
}

export interface DriverOptions {
  readonly pool: Pool;
  /** Calls that may wait for a connection; more are refused with `SqlBusy`. */
  readonly maxWaiting: number;
  /** Server and database, for errors. */
  readonly place: string;
}

const CHANGING = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

function wrap(client: PoolClient, place: string): Connection {
  let fatal: Error | undefined;
  // A connection that is lost while nothing is asked of it has no other way to tell.
  const onError = (error: Error) => {
    fatal ??= error;
  };
  client.on('error', onError);
  return {
    executeQuery: async <R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> => {
      try {
        if (fatal !== undefined) throw fatal;
        const { command, rowCount, rows } = await client.query(sql, [...parameters]);
        // A commit of a transaction that failed before is answered with ROLLBACK, and no error.
        if (sql === 'commit' && command === 'ROLLBACK') throw new Error('the transaction was rolled back by an earlier error');
        return CHANGING.has(command) ? { rows, numAffectedRows: BigInt(rowCount ?? 0) } : { rows };
      } catch (error) {
        if (endsConnection(error)) onError(error as Error);
        throw toSqlError(error, place);
      }
    },
    streamQuery: () => {
      throw new Error('rows are not streamed: read them by pages of keys');
    },
    release: () => {
      client.off('error', onError);
      client.release(fatal ?? false);
    },
  };
}

function beginOf({ isolationLevel, accessMode }: TransactionSettings): string {
  return ['begin', isolationLevel && `isolation level ${isolationLevel}`, accessMode].filter(Boolean).join(' ');
}

function createDriver({ pool, maxWaiting, place }: DriverOptions): Driver {
  const run = async (connection: DatabaseConnection, text: string) => {
    await connection.executeQuery(CompiledQuery.raw(text));
  };
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
  return {
    init: async () => {},
    acquireConnection: async () => {
      if (pool.waitingCount >= maxWaiting) throw new SqlBusy(`${maxWaiting} calls wait for the database already`);
      try {
        return wrap(await pool.connect(), place);
      } catch (error) {
        throw toSqlError(error, place);
      }
    },
    beginTransaction: (connection, settings) => run(connection, beginOf(settings)),
    commitTransaction: (connection) => run(connection, 'commit'),
    rollbackTransaction: (connection) => run(connection, 'rollback'),
    savepoint: (connection, name) => run(connection, `savepoint ${quoted(name)}`),
    rollbackToSavepoint: (connection, name) => run(connection, `rollback to ${quoted(name)}`),
    releaseSavepoint: (connection, name) => run(connection, `release ${quoted(name)}`),
    releaseConnection: async (connection) => (connection as Connection).release(),
    destroy: async () => {},
  };
}

export function createPostgresDialect(options: DriverOptions): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => createDriver(options),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}
