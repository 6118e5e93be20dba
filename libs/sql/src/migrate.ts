import type { Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';

/** By name; run in the order of their names. One that ran is never changed or removed. */
export type Migrations = Readonly<Record<string, Migration>>;

export interface MigrateOptions {
  readonly migrations: Migrations;
  /** What the tables are in, for the error. */
  readonly place: string;
  /** Schema of the tables, where the engine has any; made where it is missing. */
  readonly schema?: string;
}

/**
 * Brings the tables up to date, in one transaction. Any number of processes may do so at once: one does it, the others wait.
 *
 * @throws Error that names the place when a migration fails, or when a newer release made its tables
 */
export async function migrate<DB>(db: Kysely<DB>, { migrations, place, schema }: MigrateOptions): Promise<void> {
  const provider = { getMigrations: async () => migrations };
  const migrator = new Migrator({ db, provider, ...(schema === undefined ? {} : { migrationTableSchema: schema }) });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  const reason = error instanceof Error ? error.message : String(error);
  throw new Error(`${place}: its tables cannot be brought up to date: ${reason}`, { cause: error });
}
