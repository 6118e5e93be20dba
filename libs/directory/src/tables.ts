import { type Migrations, tableWords } from '@angarium/sql';
import type { CreateTableBuilder, Generated, Kysely } from 'kysely';

/** Tables of the directory. Names and addresses are canonical (`canonicalDomain`, `canonicalAddress`) but for alias targets. */
export interface Tables {
  domain: { name: string; catch_all: string; separator: string };
  /** `id` grows with each account: the oldest account is the one with the lowest. */
  account: {
    id: Generated<number>;
    address: string;
    domain: string;
    password_hash: string;
    quota_octets: number;
    disabled: number;
    predecessors: Generated<number>;
  };
  /** Addresses whose accounts were removed, and how many. */
  removed_account: { address: string; count: number };
  /** What else an account may send as: an address, or `@domain` for all of a domain. */
  account_grant: { account: string; pattern: string };
  alias: { address: string; domain: string };
  alias_target: { alias: string; position: number; address: string };
  transport: { domain: string; kind: string; host: string; port: number; tls: string; login: string; password: string };
  /** One row: the number of changes made so far. Each change takes the next number, so that none is made on old knowledge. */
  directory_version: { version: number };
  /** What the last changes were about, for the processes that have the directory in memory. */
  directory_change: { version: number; kind: ChangedKind; name: string };
}

export type ChangedKind = 'domain' | 'account' | 'alias' | 'transport';

const first = {
  up: async (db: Kysely<unknown>): Promise<void> => {
    const { integer, countedKey } = tableWords(db);
    const text = (table: string, ...columns: string[]) =>
      columns.reduce<CreateTableBuilder<string, string>>(
        (builder, column) => builder.addColumn(column, 'text', (type) => type.notNull()),
        db.schema.createTable(table),
      );
    await text('domain', 'name', 'catch_all', 'separator').addPrimaryKeyConstraint('domain_key', ['name']).execute();
    await text('account', 'address', 'domain', 'password_hash')
      .addColumn('id', countedKey)
      .addColumn('quota_octets', integer, (type) => type.notNull())
      .addColumn('disabled', integer, (type) => type.notNull())
      .addUniqueConstraint('account_address', ['address'])
      .addForeignKeyConstraint('account_domain', ['domain'], 'domain', ['name'])
      .execute();
    await text('account_grant', 'account', 'pattern')
      .addPrimaryKeyConstraint('account_grant_key', ['account', 'pattern'])
      .addForeignKeyConstraint('account_grant_account', ['account'], 'account', ['address'], (key) => key.onDelete('cascade'))
      .execute();
    await text('alias', 'address', 'domain')
      .addPrimaryKeyConstraint('alias_key', ['address'])
      .addForeignKeyConstraint('alias_domain', ['domain'], 'domain', ['name'], (key) => key.onDelete('cascade'))
      .execute();
    await text('alias_target', 'alias', 'address')
      .addColumn('position', integer, (type) => type.notNull())
      .addPrimaryKeyConstraint('alias_target_key', ['alias', 'position'])
      .addForeignKeyConstraint('alias_target_alias', ['alias'], 'alias', ['address'], (key) => key.onDelete('cascade'))
      .execute();
    await text('transport', 'domain', 'kind', 'host', 'tls', 'login', 'password')
      .addColumn('port', integer, (type) => type.notNull())
      .addPrimaryKeyConstraint('transport_key', ['domain'])
      .execute();
  },
};

const changes = {
  up: async (db: Kysely<unknown>): Promise<void> => {
    const { integer } = tableWords(db);
    await db.schema
      .createTable('directory_version')
      .addColumn('version', integer, (type) => type.notNull())
      .execute();
    await (db as Kysely<Tables>).insertInto('directory_version').values({ version: 0 }).execute();
    await db.schema
      .createTable('directory_change')
      .addColumn('version', integer, (type) => type.notNull())
      .addColumn('kind', 'text', (type) => type.notNull())
      .addColumn('name', 'text', (type) => type.notNull())
      .addPrimaryKeyConstraint('directory_change_key', ['version'])
      .execute();
  },
};

const predecessors = {
  up: async (db: Kysely<unknown>): Promise<void> => {
    const { integer } = tableWords(db);
    await db.schema
      .alterTable('account')
      .addColumn('predecessors', integer, (type) => type.notNull().defaultTo(0))
      .execute();
    await db.schema
      .createTable('removed_account')
      .addColumn('address', 'text', (type) => type.notNull())
      .addColumn('count', integer, (type) => type.notNull())
      .addPrimaryKeyConstraint('removed_account_key', ['address'])
      .execute();
  },
};

export const migrations: Migrations = { '001-first': first, '002-changes': changes, '003-predecessors': predecessors };
