import type { Directory, DirectoryAdmin } from '@angarium/rpc';
import { canonicalAddress } from '@angarium/smtp';
import { openSqlite } from '@angarium/sql';
import { createAccountAdmin } from './accounts.ts';
import { createAliasAdmin } from './aliases.ts';
import type { ChangeContext, DirectoryErrors } from './change.ts';
import { type Credentials, createCredentials } from './credentials.ts';
import { createDomainAdmin } from './domains.ts';
import { check, type ExpansionRules, expand, owns } from './expand.ts';
import { loadState, type State } from './state.ts';
import { migrations, type Tables } from './tables.ts';
import { createTransportAdmin, findTransport } from './transports.ts';

export interface DirectoryOptions extends ExpansionRules {
  /** SQLite file; made where it is missing. */
  readonly file: string;
  readonly nowMs: () => number;
  /** How long a verified password stays verified; a change of the account ends it. */
  readonly authCacheMs: number;
  /** Passwords hashed at once; each takes 19 MiB. */
  readonly hashConcurrency: number;
  /** Logins that may wait for that; more are `unavailable`. */
  readonly maxWaitingLogins: number;
  readonly errors: DirectoryErrors;
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
      return { found: account !== undefined, disabled: account?.disabled ?? false, quotaOctets: account?.quotaOctets ?? 0 };
    },
  };
}

/** Runs every change after the one before it, so that what a change checked still holds when it is written. */
function oneByOne(admin: DirectoryAdmin): DirectoryAdmin {
  let last: Promise<unknown> = Promise.resolve();
  const queued = Object.entries(admin).map(([name, change]) => [
    name,
    (request: never) => {
      const result = last.then(() => change(request));
      last = result.catch(() => {});
      return result;
    },
  ]);
  return Object.fromEntries(queued) as DirectoryAdmin;
}

/**
 * Opens the directory of one machine: a SQLite file that is held in memory as a whole, so that no question waits for a
 * disk. One process may have it open.
 */
export async function openDirectory(options: DirectoryOptions): Promise<OpenDirectory> {
  const { errors } = options;
  const sqlite = await openSqlite<Tables>({ file: options.file, migrations });
  try {
    const state = await loadState(sqlite);
    const credentials = await createCredentials({
      nowMs: options.nowMs,
      cacheMs: options.authCacheMs,
      concurrency: options.hashConcurrency,
      maxWaiting: options.maxWaitingLogins,
      unavailable: errors.unavailable,
    });
    const rules = { ...options, postmaster: canonicalAddress(options.postmaster) };
    const context: ChangeContext = { state, sqlite, errors };
    return {
      directory: createQuestions(state, credentials, rules),
      admin: oneByOne({
        ...createDomainAdmin(context),
        ...createAccountAdmin(context, credentials),
        ...createAliasAdmin(context, options.maxExpansion),
        ...createTransportAdmin(context),
      }),
      close: () => sqlite.close(),
    };
  } catch (error) {
    await sqlite.close();
    throw error;
  }
}
