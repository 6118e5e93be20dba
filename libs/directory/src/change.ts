import { canonicalDomain, isDomain, parseMailbox } from '@angarium/smtp';
import type { Sql, Step } from '@angarium/sql';
import { CHANGES_KEPT } from './loading.ts';
import { type Path, type State, toPath } from './state.ts';
import type { ChangedKind, Tables } from './tables.ts';

/** Errors of the caller's making, so that this room need not know how they travel. */
export interface DirectoryErrors {
  readonly refused: (reason: 'invalid' | 'notFound' | 'exists', text: string) => Error;
  readonly unavailable: (text: string, cause?: unknown) => Error;
}

/** What every change works with. */
export interface ChangeContext {
  readonly state: State;
  readonly database: Sql<Tables>;
  readonly errors: DirectoryErrors;
  /** Version of the memory that the change at hand is checked against. */
  checkedVersion: number;
}

/** Another process changed the directory since the memory was brought up to date: nothing was written. */
export class Overtaken extends Error {
  override readonly name = 'Overtaken';
}

export interface Change {
  readonly kind: ChangedKind;
  /** Canonical name of what is changed. */
  readonly name: string;
  readonly steps: readonly Step[];
  /** Changes the memory. */
  readonly apply: () => void;
}

/**
 * Writes the steps as one transaction, then changes the memory.
 *
 * @throws Overtaken when the memory that the change was checked against is not the newest
 */
export async function commit(context: ChangeContext, { kind, name, steps, apply }: Change): Promise<void> {
  const { database, state, errors, checkedVersion } = context;
  const { db } = database;
  const version = checkedVersion + 1;
  const next = db.updateTable('directory_version').set({ version }).where('version', '=', checkedVersion);
  const [taken] = await database
    .batch([
      { query: next, ifNone: 'undo' },
      ...steps,
      { query: db.insertInto('directory_change').values({ version, kind, name }) },
      { query: db.deleteFrom('directory_change').where('version', '<=', version - CHANGES_KEPT) },
    ])
    .catch((error: unknown) => {
      throw errors.unavailable(`the directory cannot be written: ${error instanceof Error ? error.message : String(error)}`, error);
    });
  if (taken?.affected !== 1) throw new Overtaken('another process changed the directory');
  // Whoever caught up meanwhile has read the change, and maybe later ones.
  if (state.version !== checkedVersion) return;
  state.version = version;
  apply();
}

/** Canonical name of a domain that can have mailboxes here. */
export function parseDomain({ errors }: ChangeContext, text: string): string {
  const name = canonicalDomain(text);
  if (name.startsWith('[') || !isDomain(name, { smtputf8: true })) throw errors.refused('invalid', `"${text}" is not a domain name`);
  return name;
}

export function parseAddress({ errors }: ChangeContext, text: string): Path {
  const path = parseMailbox(text, { smtputf8: true }) && toPath(text);
  if (!path) throw errors.refused('invalid', `"${text}" is not a mail address (local@domain)`);
  return path;
}

/** An address of a domain that is hosted here. */
export function parseLocalAddress(context: ChangeContext, text: string): Path {
  const path = parseAddress(context, text);
  if (context.state.domains.has(path.domain)) return path;
  throw context.errors.refused('notFound', `${path.domain} is not hosted here; first: angarium domain add ${path.domain}`);
}

/** Refuses an `add` of what exists and a `set` of what does not. */
export function checkPut({ errors }: ChangeContext, what: string, exists: boolean, put: { mustBeNew: boolean; mustExist: boolean }): void {
  if (exists && put.mustBeNew) throw errors.refused('exists', `${what} exists already`);
  if (!exists && put.mustExist) throw errors.refused('notFound', `${what} does not exist`);
}
