import { Kysely } from 'kysely';
import pg from 'pg';
import { inTransaction } from '../dialects.ts';
import { type Migrations, migrate } from '../migrate.ts';
import type { BatchResult, Sql, Step, StepResult } from '../sql.ts';
import { checkServer, clientConfig, type PostgresServer, placeOf } from './connect.ts';
import { createPostgresDialect } from './driver.ts';
import { toSqlError } from './errors.ts';
import { createPostgresHolds } from './holds.ts';

export type { PostgresTls } from './connect.ts';

export interface PostgresOptions extends PostgresServer {
  readonly migrations: Migrations;
  /** Connections at once; one more for holds. */
  readonly maxConnections: number;
  /** Calls that may wait for a connection; more are refused with `SqlBusy`. */
  readonly maxWaiting: number;
  /** Longest statement, its waiting for locks included. */
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
}

/** How much longer than its statement time-out a silent server is waited for. */
const SILENCE_MS = 2000;
const IDLE_MS = 60_000;
/** Connections are made anew now and then, so that they follow a moved name and spread again. */
const LIFETIME_SECONDS = 1800;

/**
 * Opens a database on a PostgreSQL server and brings the tables of its schema up to date. A server that goes away rejects the calls at hand
 * with `unavailable`; later calls connect anew.
 *
 * @throws SqlError when the server cannot be reached, or would not keep what it is told (`synchronous_commit`)
 * @throws Error that names the database when a migration fails, or a newer release made the tables
 */
export async function openPostgres<DB>(options: PostgresOptions): Promise<Sql<DB>> {
  const place = placeOf(options);
  const config = await clientConfig(options);
  await migrateOnce(options, config);
  const pool = createPool({ ...config, ...limitsOf(options), max: options.maxConnections }, place);
  const db = new Kysely<DB>({ dialect: createPostgresDialect({ pool, maxWaiting: options.maxWaiting, place }) });
  const connect = async () => {
    const client = new pg.Client({ ...config, query_timeout: options.statementTimeoutMs });
    // Whoever waits for an answer hears of it there.
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const holds = createPostgresHolds({ connect, schema: options.schema, place });
  let closed: Promise<unknown> | undefined;
  return {
    db,
    batch: (steps) => runBatch(db, steps),
    hold: holds.hold,
    close: async () => {
      closed ??= Promise.all([pool.end(), holds.close()]);
      await closed;
    },
  };
}

const limitsOf = ({ statementTimeoutMs, lockTimeoutMs }: PostgresOptions) => ({
  statement_timeout: statementTimeoutMs,
  lock_timeout: lockTimeoutMs,
  idle_in_transaction_session_timeout: statementTimeoutMs,
  query_timeout: statementTimeoutMs + SILENCE_MS,
});

function createPool(config: pg.PoolConfig, place: string): pg.Pool {
  // The pool waits for it and gives no connection that failed it, whatever its types say.
  const onConnect = ((client: pg.ClientBase) => checkServer(client, place)) as (client: pg.ClientBase) => void;
  const pool = new pg.Pool({ ...config, idleTimeoutMillis: IDLE_MS, maxLifetimeSeconds: LIFETIME_SECONDS, onConnect });
  // An idle connection that is lost is replaced when one is needed.
  pool.on('error', () => {});
  return pool;
}

/** Migrations wait for those of other replicas and take their time, so no time-out is set. */
async function migrateOnce(options: PostgresOptions, config: pg.ClientConfig): Promise<void> {
  const place = placeOf(options);
  const pool = createPool({ ...config, max: 1 }, place);
  const db = new Kysely<unknown>({ dialect: createPostgresDialect({ pool, maxWaiting: 1, place }) });
  try {
    (await pool.connect()).release();
    await migrate(db, { ...options, place: `PostgreSQL ${place}` });
  } catch (error) {
    throw error instanceof pg.DatabaseError || (error as { code?: unknown }).code !== undefined ? toSqlError(error, place) : error;
  } finally {
    await pool.end();
  }
}

class Undone extends Error {}

async function runBatch<DB, const Steps extends readonly Step[]>(db: Kysely<DB>, steps: Steps): Promise<BatchResult<Steps>> {
  let results: StepResult<unknown>[] = [];
  const work = inTransaction(db, async (transaction) => {
    results = [];
    for (const { query, ifNone = 'goOn' } of steps) {
      const { rows, numAffectedRows } = await transaction.executeQuery(query.compile());
      const affected = rows.length > 0 ? rows.length : Number(numAffectedRows ?? 0);
      results.push({ rows, affected });
      if (affected > 0 || ifNone === 'goOn') continue;
      if (ifNone === 'undo') throw new Undone();
      return;
    }
  });
  await work.catch((error: unknown) => {
    if (!(error instanceof Undone)) throw error;
  });
  return steps.map((_step, at) => results[at]) as BatchResult<Steps>;
}
