import { canonicalDomain, isDomain, parseMailbox } from '@angarium/smtp';
import type { Sqlite, Step } from '@angarium/sql';
import { type Path, type State, toPath } from './state.ts';
import type { Tables } from './tables.ts';

/** Errors of the caller's making, so that this room need not know how they travel. */
export interface DirectoryErrors {
  readonly refused: (reason: 'invalid' | 'notFound' | 'exists', text: string) => Error;
  readonly unavailable: (text: string, cause?: unknown) => Error;
}

/** What every change works with. */
export interface ChangeContext {
  readonly state: State;
  readonly sqlite: Sqlite<Tables>;
  readonly errors: DirectoryErrors;
}

/** Writes the steps as one transaction, then changes the memory. */
export async function commit({ sqlite, errors }: ChangeContext, steps: readonly Step[], apply: () => void): Promise<void> {
  try {
    await sqlite.batch(steps);
  } catch (error) {
    throw errors.unavailable(`the directory cannot be written: ${error instanceof Error ? error.message : String(error)}`, error);
  }
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
