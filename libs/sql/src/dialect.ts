import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { WorkerConnection } from './connection.ts';
import type { Statement, StatementResult } from './protocol.ts';
import type { Turns } from './turns.ts';

/** Turns are taken here, so kysely need not queue; SQLite does take back table changes with their transaction. */
class Adapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

type TransactionState = 'none' | 'entered' | 'open';

interface Connection extends DatabaseConnection {
  transaction: TransactionState;
}

function toQueryResult<R>(result: StatementResult | undefined): QueryResult<R> {
  const rows = (result?.rows ?? []) as R[];
  if (result?.insertId === undefined) return { rows };
  return { rows, numAffectedRows: BigInt(result.affected), insertId: BigInt(result.insertId) };
}

function createConnection(worker: WorkerConnection, turns: Turns): Connection {
  const connection: Connection = {
    transaction: 'none',
    executeQuery: async <R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> => {
      const statement: Statement = { sql, parameters };
      const results =
        connection.transaction === 'none'
          ? await inTurn(turns, () => worker.send({ do: 'run', statement, transaction: 'none' }))
          : await sendInside(worker, connection, statement);
      return toQueryResult<R>(results[0]);
    },
    streamQuery: () => {
      throw new Error('rows are not streamed: read them by pages of keys');
    },
  };
  return connection;
}

function sendInside(worker: WorkerConnection, connection: Connection, statement: Statement) {
  const transaction = connection.transaction === 'entered' ? 'begin' : 'inside';
  connection.transaction = 'open';
  return worker.send({ do: 'run', statement, transaction });
}

/** Sends in turn; at once, in the same call, when nobody waits. */
export function inTurn<T>(turns: Turns, send: () => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => turns.pass(() => void send().then(resolve, reject)));
}

/** Driver of kysely over the worker: a transaction begins with its first statement, and one without any costs nothing. */
function createDriver(worker: WorkerConnection, turns: Turns): Driver {
  const end = async (given: DatabaseConnection, how: 'commit' | 'rollback') => {
    const connection = given as Connection;
    if (connection.transaction === 'open') await worker.send({ do: how });
    if (connection.transaction !== 'none') turns.leave();
    connection.transaction = 'none';
  };
  const savepoint = async (connection: DatabaseConnection, command: string, name: string) => {
    await connection.executeQuery(CompiledQuery.raw(`${command} "${name.replaceAll('"', '""')}"`));
  };
  return {
    init: async () => {},
    acquireConnection: async () => createConnection(worker, turns),
    beginTransaction: async (connection) => {
      await turns.enter();
      (connection as Connection).transaction = 'entered';
    },
    commitTransaction: (connection) => end(connection, 'commit'),
    rollbackTransaction: (connection) => end(connection, 'rollback'),
    savepoint: (connection, name) => savepoint(connection, 'savepoint', name),
    rollbackToSavepoint: (connection, name) => savepoint(connection, 'rollback to', name),
    releaseSavepoint: (connection, name) => savepoint(connection, 'release', name),
    releaseConnection: async () => {},
    destroy: async () => {},
  };
}

export function createDialect(worker: WorkerConnection, turns: Turns): Dialect {
  return {
    createAdapter: () => new Adapter(),
    createDriver: () => createDriver(worker, turns),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}
