export { SqlError } from './connection.ts';
export { FolderHeld, type FolderLock, holdFolder } from './folder-lock.ts';
export { type BatchResult, openSqlite, type Sqlite, type SqliteOptions, type Step, type StepResult } from './sqlite.ts';
export { SqlBusy } from './turns.ts';
