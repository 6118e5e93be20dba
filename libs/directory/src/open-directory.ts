import type { Directory, DirectoryAdmin } from '@angarium/rpc';
import { canonicalAddress } from '@angarium/smtp';
import { type Migrations, openSqlite, type Sql } from '@angarium/sql';
import { createAccountAdmin } from './accounts.ts';
import { createAliasAdmin } from './aliases.ts';
import { type ChangeContext, type DirectoryErrors, Overtaken } from './change.ts';
import { type Credentials, createCredentials } from './credentials.ts';
import { createDomainAdmin } from './domains.ts';
import { check, type ExpansionRules, expand, owns } from './expand.ts';
import { catchUp, emptyState } from './loading.ts';
import { mailboxOf, type State } from './state.ts';
import { migrations, type Tables } from './tables.ts';
import { createTransportAdmin, findTransport } from './transports.ts';

export interface DirectoryOptions extends ExpansionRules {
  /** SQLite file of one process, made where it is missing; or a database that others change too. */
  readonly database: string | SharedDatabase;
  readonly nowMs: () => number;
  /** How long a verified password stays verified; a change of the account ends it. */
  readonly authCacheMs: number;
  /** Passwords hashed at once; each takes 19 MiB. */
  readonly hashConcurrency: number;
  /** Logins that may wait for that; more are `unavailable`. */
  readonly maxWaitingLogins: number;
  readonly errors: DirectoryErrors;
}

export interface SharedDatabase {
  readonly open: <DB>(migrations: Migrations) => Promise<Sql<DB>>;
  /** Oldest knowledge that a question is answered from: what another process changed is seen after this. */
  readonly maxAgeMs: number;
}

export interface OpenDirectory {
  readonly directory: Directory;
  /** Changes are done one after the other; each is durable and seen by every later question when its promise resolves. */
  readonly admin: DirectoryAdmin;
  close(): Promise<void>;
}

/** Login names may leave the domain out where one alone is hosted. */
function accountByLogin({ domains, accounts }: State, login: string) {
  const [only, another] = domains.keys();
  const address = !login.includes('@') && only !== undefined && another === undefined ? `${login}@${only}` : login;
  return accounts.get(canonicalAddress(address));
}

function createQuestions(state: State, credentials: Credentials, rules: ExpansionRules): Directory {
  return {
    check: async ({ forwardPaths }) => ({ results: forwardPaths.map((path) => check(state, path, rules)) }),
    expand: async ({ forwardPaths }) => ({ expansions: forwardPaths.map((path) => ({ targets: expand(state, path, rules) })) }),
    authenticate: async ({ login, password }) => {
      const account = accountByLogin(state, login);
      const isVerified = await credentials.verify(account, password);
      // The account may have changed while its old hash was verified.
      const now = account && state.accounts.get(account.address);
      const accepted = isVerified && now !== undefined && !now.disabled && now.passwordHash === account?.passwordHash;
      return { accepted, account: accepted ? now.address : '' };
    },
    owns: async ({ account: address, addresses }) => {
      const account = state.accounts.get(canonicalAddress(address));
      return { owned: addresses.map((one) => account !== undefined && owns(state, account, one, rules)) };
    },
    transport: async ({ name }) => findTransport(state, name),
    account: async ({ address }) => {
      const account = state.accounts.get(canonicalAddress(address));
      if (account === undefined) return { found: false, disabled: false, quotaOctets: 0, mailbox: '' };
      return { found: true, disabled: account.disabled, quotaOctets: account.quotaOctets, mailbox: mailboxOf(account) };
    },
  };
}

const ATTEMPTS = 10;

/**
 * Runs every change after the one before it, on the newest knowledge, so that what a change checked still holds when it is
 * written: where another process was faster, it is checked and made again.
 */
function oneByOne(admin: DirectoryAdmin, context: ChangeContext, refresh: () => Promise<void>): DirectoryAdmin {
  let last: Promise<unknown> = Promise.resolve();
  const attempt = async (change: (request: never) => Promise<unknown>, request: never) => {
    for (let count = 0; count < ATTEMPTS; count++) {
      await refresh();
      context.checkedVersion = context.state.version;
      try {
        return await change(request);
      } catch (error) {
        if (!(error instanceof Overtaken)) throw error;
      }
    }
    throw context.errors.unavailable('other processes change the directory all the time');
  };
  const queued = Object.entries(admin).map(([name, change]) => [
    name,
    (request: never) => {
      const result = last.then(() => attempt(change, request));
      last = result.catch(() => {});
      return result;
    },
  ]);
  return Object.fromEntries(queued) as DirectoryAdmin;
}

/** Answers from memory that is not older than `maxAgeMs`, else from what the database says now. */
function whenFresh(directory: Directory, freshness: Freshness): Directory {
  const checked = Object.entries(directory).map(([name, answer]) => [
    name,
    async (request: never) => {
      if (!freshness.isFresh()) await freshness.refresh();
      return answer(request);
    },
  ]);
  return Object.fromEntries(checked) as Directory;
}

interface Freshness {
  isFresh(): boolean;
  /** Rejects with `unavailable`. Who asks while one is under way begins the next one: it must be no older than the question. */
  refresh(): Promise<void>;
}

function createFreshness(
  database: Sql<Tables>,
  state: State,
  { maxAgeMs, errors }: { maxAgeMs: number; errors: DirectoryErrors },
): Freshness {
  let asOfMs = performance.now();
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const start = (): Promise<void> => {
    const startedMs = performance.now();
    const found = catchUp(database, state).then(
      () => {
        asOfMs = startedMs;
      },
      (error: unknown) => {
        throw errors.unavailable(`the directory cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
      },
    );
    running = found.finally(() => {
      running = undefined;
    });
    return running;
  };
  return {
    isFresh: () => performance.now() - asOfMs <= maxAgeMs,
    refresh: () => {
      if (running === undefined) return start();
      next ??= running
        .catch(() => {})
        .then(() => {
          next = undefined;
          return start();
        });
      return next;
    },
  };
}

/**
 * Opens the directory: a database that is held in memory as a whole, so that questions do not wait for it. A SQLite file is
 * one process's; a shared database is asked once per `maxAgeMs` whether another process changed it, and while it does not
 * answer, neither does the directory.
 */
export async function openDirectory(options: DirectoryOptions): Promise<OpenDirectory> {
  const { errors, database: source } = options;
  const isOwn = typeof source === 'string';
  const database: Sql<Tables> = await (isOwn ? openSqlite({ file: source, migrations }) : source.open(migrations));
  try {
    const state = emptyState();
    await catchUp(database, state);
    const credentials = await createCredentials({
      nowMs: options.nowMs,
      cacheMs: options.authCacheMs,
      concurrency: options.hashConcurrency,
      maxWaiting: options.maxWaitingLogins,
      unavailable: errors.unavailable,
    });
    const rules = { ...options, postmaster: canonicalAddress(options.postmaster) };
    const context: ChangeContext = { state, database, errors, checkedVersion: state.version };
    const questions = createQuestions(state, credentials, rules);
    const freshness = createFreshness(database, state, { maxAgeMs: isOwn ? Number.POSITIVE_INFINITY : source.maxAgeMs, errors });
    const changes = {
      ...createDomainAdmin(context),
      ...createAccountAdmin(context, credentials),
      ...createAliasAdmin(context, options.maxExpansion),
      ...createTransportAdmin(context),
    };
    return {
      directory: isOwn ? questions : whenFresh(questions, freshness),
      admin: oneByOne(changes, context, freshness.refresh),
      close: () => database.close(),
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}
