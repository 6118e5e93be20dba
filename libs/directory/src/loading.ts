import type { Sql } from '@angarium/sql';
import type { Transaction } from 'kysely';
import { domainOf, type State, type Transport, toPath } from './state.ts';
import type { ChangedKind, Tables } from './tables.ts';

/** Changes that the database remembers; who is further behind loads everything. */
export const CHANGES_KEPT = 10_000;
/** Above this, everything is loaded: one statement cannot ask for any number of names. */
const NAMES_MAX = 1000;

/** Names whose rows are asked for; `undefined`: all. */
type Names = readonly string[] | undefined;
type Reader = Transaction<Tables>;

async function loadDomains(db: Reader, into: State, names: Names): Promise<void> {
  const rows = await db
    .selectFrom('domain')
    .selectAll()
    .$if(names !== undefined, (query) => query.where('name', 'in', names ?? []))
    .execute();
  for (const { name, catch_all, separator } of rows) into.domains.set(name, { name, catchAll: toPath(catch_all), separator });
}

async function loadAccounts(db: Reader, into: State, names: Names): Promise<void> {
  const accounts = await db
    .selectFrom('account')
    .selectAll()
    .$if(names !== undefined, (query) => query.where('address', 'in', names ?? []))
    .orderBy('id')
    .execute();
  const grants = await db
    .selectFrom('account_grant')
    .selectAll()
    .$if(names !== undefined, (query) => query.where('account', 'in', names ?? []))
    .execute();
  const grantsBy = Map.groupBy(grants, ({ account }) => account);
  for (const { address, predecessors, password_hash, quota_octets, disabled } of accounts) {
    const granted = new Set(grantsBy.get(address)?.map(({ pattern }) => pattern));
    const account = { address, predecessors, passwordHash: password_hash, quotaOctets: quota_octets, disabled: disabled !== 0, granted };
    into.accounts.set(address, account);
  }
}

async function loadAliases(db: Reader, into: State, names: Names): Promise<void> {
  const rows = await db
    .selectFrom('alias_target')
    .selectAll()
    .$if(names !== undefined, (query) => query.where('alias', 'in', names ?? []))
    .orderBy('alias')
    .orderBy('position')
    .execute();
  for (const [alias, targets] of Map.groupBy(rows, ({ alias }) => alias)) {
    into.aliases.set(
      alias,
      targets.map(({ address }) => toPath(address)).filter((path) => path !== undefined),
    );
  }
}

async function loadTransports(db: Reader, into: State, names: Names): Promise<void> {
  const rows = await db
    .selectFrom('transport')
    .selectAll()
    .$if(names !== undefined, (query) => query.where('domain', 'in', names ?? []))
    .execute();
  for (const row of rows) into.transports.set(row.domain, row as Transport);
}

const LOADERS = { domain: loadDomains, account: loadAccounts, alias: loadAliases, transport: loadTransports } as const;
const KINDS: readonly ChangedKind[] = ['domain', 'account', 'alias', 'transport'];

export const emptyState = (): State => ({
  version: -1,
  domains: new Map(),
  accounts: new Map(),
  aliases: new Map(),
  transports: new Map(),
});

/** Brings the memory to what the database has, in one turn of the event loop. One statement when nothing was changed. */
export async function catchUp({ db }: Sql<Tables>, state: State): Promise<void> {
  const { version } = await db.selectFrom('directory_version').select('version').executeTakeFirstOrThrow();
  if (version === state.version) return;
  // One view of the database for all that is read.
  const apply = await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute((reader) => load(reader, state));
  apply();
}

async function load(reader: Reader, state: State): Promise<() => void> {
  const { version } = await reader.selectFrom('directory_version').select('version').executeTakeFirstOrThrow();
  const behind = version - state.version;
  const isNear = state.version >= 0 && behind >= 0 && behind <= NAMES_MAX;
  const changes = isNear
    ? await reader.selectFrom('directory_change').select(['kind', 'name']).where('version', '>', state.version).execute()
    : [];
  const isWhole = !isNear || changes.length !== behind;
  const fresh = { ...emptyState(), version };
  const namesOf = (kind: ChangedKind): Names =>
    isWhole ? undefined : [...new Set(changes.filter((change) => change.kind === kind).map(({ name }) => name))];
  for (const kind of KINDS) if (namesOf(kind)?.length !== 0) await LOADERS[kind](reader, fresh, namesOf(kind));
  return () => {
    replace(state.domains, fresh.domains, namesOf('domain'));
    replace(state.accounts, fresh.accounts, namesOf('account'));
    replace(state.aliases, fresh.aliases, namesOf('alias'));
    replace(state.transports, fresh.transports, namesOf('transport'));
    for (const { kind, name } of changes) if (kind === 'domain' && !state.domains.has(name)) forgetAliases(state, name);
    state.version = version;
  };
}

/** Names that are replaced keep their place, which is their age. */
function replace<T>(known: Map<string, T>, fresh: ReadonlyMap<string, T>, names: Names): void {
  if (names === undefined) known.clear();
  for (const name of names ?? []) if (!fresh.has(name)) known.delete(name);
  for (const [name, value] of fresh) known.set(name, value);
}

/** What the database does by itself when a domain goes. */
export function forgetAliases(state: State, domain: string): void {
  for (const address of state.aliases.keys()) if (domainOf(address) === domain) state.aliases.delete(address);
}
