import { closeSync, openSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { Answer, BatchStatement, Request, Response, Statement, StatementResult, Work } from './protocol.ts';

/*
 * Thread that owns one SQLite file. Requests are done in the order of their arrival; batches that wait next to each other
 * share one commit, and so one fsync.
 */

type Prepared = Database.Statement<unknown[], unknown>;
type BatchRequest = Request & { readonly work: { readonly do: 'batch' } };

const PREPARED_MAX = 500;
const WAL_KEPT_OCTETS = 64 * 1024 ** 2;
/** Batches in one commit: bounds how long the first one waits for the last. */
const GROUP_MAX = 500;

const port = parentPort;
if (port === null) throw new Error('worker.ts is a worker thread');
let database: Database.Database | undefined;
const prepared = new Map<string, Prepared>();
let waiting: Request[] = [];

const done = (results: readonly StatementResult[] = []): Answer => ({ ok: true, results });

function failed(error: unknown): Answer {
  const { code, message } = error as { code?: string; message?: string };
  return { ok: false, code: code ?? 'ERROR', message: message ?? String(error) };
}

function opened(): Database.Database {
  if (database === undefined) throw new Error('the database is closed');
  return database;
}

function prepare(sql: string): Prepared {
  const known = prepared.get(sql);
  if (known) return known;
  const statement = opened().prepare<unknown[], unknown>(sql);
  const oldest = prepared.size >= PREPARED_MAX ? prepared.keys().next().value : undefined;
  if (oldest !== undefined) prepared.delete(oldest);
  prepared.set(sql, statement);
  return statement;
}

/** SQLite knows no booleans, and the binding refuses them. */
const bindable = (value: unknown): unknown => (typeof value === 'boolean' ? Number(value) : value);

function run({ sql, parameters }: Statement): StatementResult {
  const statement = prepare(sql);
  const values = parameters.map(bindable);
  if (statement.reader) {
    const rows = statement.all(...values);
    return { rows, affected: rows.length, insertId: undefined };
  }
  const { changes, lastInsertRowid } = statement.run(...values);
  return { rows: [], affected: changes, insertId: lastInsertRowid };
}

function open(file: string, busyTimeoutMs: number): void {
  closeSync(openSync(file, 'a', 0o600));
  database = new Database(file, { timeout: busyTimeoutMs });
  database.pragma('journal_mode = wal');
  database.pragma('synchronous = full');
  database.pragma('foreign_keys = on');
  database.pragma(`journal_size_limit = ${WAL_KEPT_OCTETS}`);
}

function close(): void {
  if (database === undefined) return;
  prepared.clear();
  try {
    database.pragma('wal_checkpoint(truncate)');
  } catch {
    // A full disk: what stays in the write-ahead log is durable there and read at the next start.
  }
  database.close();
  database = undefined;
}

function rollback(): void {
  if (database?.inTransaction) database.exec('rollback');
}

/** SQLite ends a transaction by itself on some errors; what follows must not run outside of it. */
function mustBeOpen(): void {
  if (!opened().inTransaction) throw new Error('the transaction was rolled back by an earlier error');
}

function perform(work: Exclude<Work, { do: 'batch' | 'backup' }>): Answer {
  switch (work.do) {
    case 'open':
      open(work.file, work.busyTimeoutMs);
      return done();
    case 'run':
      if (work.transaction === 'begin') opened().exec('begin immediate');
      if (work.transaction === 'inside') mustBeOpen();
      return done([run(work.statement)]);
    case 'commit':
      mustBeOpen();
      try {
        opened().exec('commit');
      } finally {
        rollback();
      }
      return done();
    case 'rollback':
      rollback();
      return done();
    case 'close':
      close();
      return done();
  }
}

/** Results up to where a statement ended the batch; `undone` where it also took it back. */
function runStatements(statements: readonly BatchStatement[]): { results: StatementResult[]; undone: boolean } {
  const results: StatementResult[] = [];
  for (const statement of statements) {
    const result = run(statement);
    results.push(result);
    if (result.affected === 0 && statement.ifNone !== 'goOn') return { results, undone: statement.ifNone === 'undo' };
  }
  return { results, undone: false };
}

function runInSavepoint({ statements }: { readonly statements: readonly BatchStatement[] }): Answer {
  opened().exec('savepoint batch');
  let undone = true;
  try {
    const ran = runStatements(statements);
    undone = ran.undone;
    return done(ran.results);
  } catch (error) {
    return failed(error);
  } finally {
    if (opened().inTransaction) opened().exec(undone ? 'rollback to batch; release batch' : 'release batch');
  }
}

/** One transaction for many batches; a batch that fails takes back itself alone, unless SQLite takes back all. */
function runGroup(group: readonly BatchRequest[]): Response[] {
  const responses: Response[] = [];
  try {
    opened().exec('begin immediate');
    for (const { id, work } of group) {
      const answer = runInSavepoint(work);
      responses.push({ id, answer });
      mustBeOpenAfter(answer);
    }
    opened().exec('commit');
    return responses;
  } catch (error) {
    rollback();
    const answer = failed(error);
    return group.map(({ id }) => ({ id, answer }));
  }
}

/** @throws the error that ended the transaction of the whole group */
function mustBeOpenAfter(answer: Answer): void {
  if (opened().inTransaction) return;
  throw answer.ok ? new Error('the transaction ended early') : Object.assign(new Error(answer.message), { code: answer.code });
}

function answerOf(work: Exclude<Work, { do: 'batch' | 'backup' }>): Answer {
  try {
    return perform(work);
  } catch (error) {
    return failed(error);
  }
}

function backup(id: number, toFile: string): void {
  const send = (answer: Answer) => port?.postMessage([{ id, answer } satisfies Response]);
  try {
    opened()
      .backup(toFile)
      .then(() => send(done()))
      .catch((error: unknown) => send(failed(error)));
  } catch (error) {
    send(failed(error));
  }
}

const isBatch = (request: Request | undefined): request is BatchRequest => request?.work.do === 'batch';

function drain(): void {
  const requests = waiting;
  waiting = [];
  const responses: Response[] = [];
  for (let at = 0; at < requests.length; ) {
    const group = requests.slice(at, at + GROUP_MAX);
    const end = group.findIndex((request) => !isBatch(request));
    const batches = (end < 0 ? group : group.slice(0, end)).filter(isBatch);
    if (batches.length > 0) {
      responses.push(...runGroup(batches));
      at += batches.length;
      continue;
    }
    const { id, work } = requests[at++] as Request;
    if (work.do === 'backup') backup(id, work.toFile);
    else if (work.do !== 'batch') responses.push({ id, answer: answerOf(work) });
  }
  if (responses.length > 0) port?.postMessage(responses);
}

port.on('message', (requests: readonly Request[]) => {
  if (waiting.length === 0) setImmediate(drain);
  waiting.push(...requests);
});
