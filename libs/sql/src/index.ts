export { copySqlite } from './copy.ts';
export { inTransaction, isPostgres, type TableWords, tableWords } from './dialects.ts';
export { SqlError, type SqlTrouble } from './error.ts';
export { FolderHeld, type FolderLock, holdFolder } from './folder-lock.ts';
export type { Migrations } from './migrate.ts';
export { openPostgres, type PostgresOptions, type PostgresTls } from './postgres/postgres.ts';
export type { BatchResult, Hold, Sql, Step, StepResult } from './sql.ts';
export { openSqlite, type Sqlite, type SqliteOptions } from './sqlite.ts';
export { SqlBusy } from './turns.ts';
