/**
 * What a caller can do about a failed statement:
 * `full`: there is no room; it works again when there is.
 * `unavailable`: the database cannot be asked or cannot answer now; whether a commit at hand was kept is unknown.
 * `conflict`: another transaction was in the way; asked again, it works.
 * `constraint`: the rows contradict the tables' rules.
 * `other`: a mistake in the statement, or what this release does not know.
 */
export type SqlTrouble = 'full' | 'unavailable' | 'conflict' | 'constraint' | 'other';

/** SQLite's result codes begin with a letter, PostgreSQL's SQLSTATEs have five characters (PostgreSQL, appendix A). */
const TROUBLE_BY_CODE: readonly (readonly [RegExp, SqlTrouble])[] = [
  [/^(SQLITE_FULL|53100$)/, 'full'],
  [/^SQLITE_(IOERR|BUSY|LOCKED|READONLY|CORRUPT|CANTOPEN|NOTADB|NOMEM)/, 'unavailable'],
  [/^(40001|40P01|55P03)$/, 'conflict'],
  [/^(SQLITE_CONSTRAINT|23...$)/, 'constraint'],
  // Connection, roles and passwords, missing database, resources, operators, read-only, system and internal errors.
  [/^(08|28|53|57|58|F0|XX)...$|^(25006|3D000|55000|42501)$/, 'unavailable'],
];

const troubleOf = (code: string): SqlTrouble => TROUBLE_BY_CODE.find(([codes]) => codes.test(code))?.[1] ?? 'other';

/** The database refused or failed a statement. Nothing of its transaction or batch was kept, unless `trouble` says otherwise. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  /**
   * SQLite's extended code, such as `SQLITE_CONSTRAINT_UNIQUE`, `SQLITE_FULL`, `SQLITE_IOERR_FSYNC`, or PostgreSQL's
   * SQLSTATE, such as `23505`; `ERROR` for others.
   */
  readonly code: string;
  readonly trouble: SqlTrouble;
  constructor(code: string, message: string, options: { readonly cause?: unknown; readonly trouble?: SqlTrouble } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.code = code;
    this.trouble = options.trouble ?? troubleOf(code);
  }
}
