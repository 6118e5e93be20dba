import { Kysely } from 'kysely';
import { startWorker } from './connection.ts';
import { createDialect, inTurn } from './dialect.ts';
import { createHolds } from './holds.ts';
import { type Migrations, migrate } from './migrate.ts';
import type { BatchResult, Sql, Step } from './sql.ts';
import { createTurns } from './turns.ts';

export interface SqliteOptions {
  /** Made, readable by its owner alone, where it is missing; its folder must exist. */
  readonly file: string;
  readonly migrations: Migrations;
  /** Calls that may wait for their turn; more are refused with `SqlBusy`. */
  readonly maxWaiting?: number;
  /** How long a lock that another process has on the file is waited for. */
  readonly busyTimeoutMs?: number;
}

/**
 * A SQLite file. Transactions run one after the other. Batches that wait at the same time share one fsync, so they are the
 * way for many small writes.
 */
export interface Sqlite<DB> extends Sql<DB> {
  /** A consistent copy of the running database; an older one of that name is replaced. */
  backup(toFile: string): Promise<void>;
}

const MAX_WAITING = 10_000;
const BUSY_TIMEOUT_MS = 5000;

/**
 * Opens a SQLite file in a thread of its own and brings its tables up to date. A full or failing disk rejects the call at
 * hand; later calls work as soon as the disk does.
 *
 * @throws SqlError when the file cannot be opened
 * @throws Error that names the file when a migration fails, or the file was written by a newer release
 */
export async function openSqlite<DB>(options: SqliteOptions): Promise<Sqlite<DB>> {
  const worker = startWorker();
  const turns = createTurns({ maxWaiting: options.maxWaiting ?? MAX_WAITING, inFlight: worker.inFlight });
  const db = new Kysely<DB>({ dialect: createDialect(worker, turns) });
  try {
    await worker.send({ do: 'open', file: options.file, busyTimeoutMs: options.busyTimeoutMs ?? BUSY_TIMEOUT_MS });
    await migrate(db, { ...options, place: options.file });
  } catch (error) {
    await worker.end();
    throw error;
  }
  let closed: Promise<void> | undefined;
  const close = async () => {
    await turns.enter();
    try {
      await worker.send({ do: 'close' });
    } finally {
      await worker.end();
      turns.leave();
    }
  };
  return {
    db,
    batch: async <const Steps extends readonly Step[]>(steps: Steps) => {
      const statements = steps.map(({ query, ifNone = 'goOn' }) => {
        const { sql, parameters } = query.compile();
        return { sql, parameters, ifNone };
      });
      const results = await inTurn(turns, () => worker.send({ do: 'batch', statements }));
      return steps.map((_step, at) => results[at]) as BatchResult<Steps>;
    },
    backup: async (toFile) => {
      await inTurn(turns, () => worker.send({ do: 'backup', toFile }));
    },
    hold: createHolds(),
    close: () => (closed ??= close()),
  };
}
