import { type Compilable, Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { startWorker } from './connection.ts';
import { createDialect, inTurn } from './dialect.ts';
import type { IfNone } from './protocol.ts';
import { createTurns } from './turns.ts';

export interface SqliteOptions {
  /** Made, readable by its owner alone, where it is missing; its folder must exist. */
  readonly file: string;
  /** By name; run in the order of their names. One that ran is never changed or removed. */
  readonly migrations: Readonly<Record<string, Migration>>;
  /** Calls that may wait for their turn; more are refused with `SqlBusy`. */
  readonly maxWaiting?: number;
  /** How long a lock that another process has on the file is waited for. */
  readonly busyTimeoutMs?: number;
}

/** One statement of a batch. */
export interface Step<Row = unknown> {
  readonly query: Compilable<Row>;
  /** What follows when it returned or changed no row; `goOn` when left out. */
  readonly ifNone?: IfNone;
}

export interface StepResult<Row> {
  readonly rows: readonly Row[];
  /** Rows returned, or changed where the statement returns none. */
  readonly affected: number;
}

/** By step; `undefined` for a step that was not run because an earlier one ended the batch. */
export type BatchResult<Steps extends readonly Step[]> = {
  readonly [At in keyof Steps]: Steps[At] extends Step<infer Row> ? StepResult<Row> | undefined : never;
};

export interface Sqlite<DB> {
  /**
   * Statements and transactions, each durable (fsynced) when its promise resolves. Transactions run one after the other:
   * inside of one, ask `trx` alone, since `db` would wait for its end.
   */
  readonly db: Kysely<DB>;
  /**
   * Runs the steps as one transaction in one message. Batches that wait at the same time share one fsync, so this is the
   * way for many small writes. A step that ended it with `stop` or `undo` is the last one with a result.
   *
   * @throws SqlError when a step or the commit failed: nothing of the batch was kept
   */
  batch<const Steps extends readonly Step[]>(steps: Steps): Promise<BatchResult<Steps>>;
  /** A consistent copy of the running database; an older one of that name is replaced. */
  backup(toFile: string): Promise<void>;
  /** Waits for what was asked, checkpoints the write-ahead log and closes. Later calls reject. */
  close(): Promise<void>;
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
    await migrate(db, options);
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
    close: () => (closed ??= close()),
  };
}

async function migrate<DB>(db: Kysely<DB>, { file, migrations }: SqliteOptions): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  const reason = error instanceof Error ? error.message : String(error);
  throw new Error(`${file}: its tables cannot be brought up to date: ${reason}`, { cause: error });
}
