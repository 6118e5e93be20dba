/** Messages between the driver and the worker thread that owns the database. */

export interface Statement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** `stop`: what is done stays, the rest is not run. `undo`: the whole batch is taken back. Both end without an error. */
export type IfNone = 'goOn' | 'stop' | 'undo';

export interface BatchStatement extends Statement {
  /** What happens when the statement returned or changed no row. */
  readonly ifNone: IfNone;
}

export type Work =
  | { readonly do: 'open'; readonly file: string; readonly busyTimeoutMs: number }
  /** Outside of a transaction, or the next one of it; `begin`: the first one. */
  | { readonly do: 'run'; readonly statement: Statement; readonly transaction: 'none' | 'begin' | 'inside' }
  | { readonly do: 'commit' | 'rollback' }
  /** A transaction of its own, which may share its commit with its neighbours in the queue. */
  | { readonly do: 'batch'; readonly statements: readonly BatchStatement[] }
  | { readonly do: 'backup'; readonly toFile: string }
  | { readonly do: 'close' };

export interface Request {
  readonly id: number;
  readonly work: Work;
}

export interface StatementResult {
  readonly rows: readonly unknown[];
  /** Rows returned, or changed where the statement returns none. */
  readonly affected: number;
  readonly insertId: number | bigint | undefined;
}

export type Answer =
  | { readonly ok: true; readonly results: readonly StatementResult[] }
  | { readonly ok: false; readonly code: string; readonly message: string };

export interface Response {
  readonly id: number;
  readonly answer: Answer;
}
