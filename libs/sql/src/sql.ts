import type { Compilable, Kysely } from 'kysely';
import type { IfNone } from './protocol.ts';

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

/** A name that is held. */
export interface Hold {
  /** A second call is a no-op. Never rejects: a hold that cannot be given back is lost with its connection. */
  release(): Promise<void>;
}

/** A database of either engine. */
export interface Sql<DB> {
  /** Statements and transactions, each durable when its promise resolves. Inside of a transaction, ask `trx` alone. */
  readonly db: Kysely<DB>;
  /**
   * Runs the steps as one transaction: the way for a few statements that belong together. A step that ended it with `stop`
   * or `undo` is the last one with a result.
   *
   * @throws SqlError when a step or the commit failed: nothing of the batch was kept, unless its trouble is `unavailable`
   */
  batch<const Steps extends readonly Step[]>(steps: Steps): Promise<BatchResult<Steps>>;
  /**
   * Holds a name against every other holder of this database, in all processes; `undefined` when another has it. A holder
   * that dies loses it, and one that lost its connection is told so by `onLost`, once.
   */
  hold(name: string, onLost: () => void): Promise<Hold | undefined>;
  /** Waits for what was asked and closes. Later calls reject. */
  close(): Promise<void>;
}
