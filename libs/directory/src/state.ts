import { canonicalAddress, canonicalDomain, splitAddress } from '@angarium/smtp';
import type { Sqlite } from '@angarium/sql';
import type { Tables } from './tables.ts';

export interface HostedDomain {
  readonly name: string;
  /** Who gets mail for unknown users. */
  readonly catchAll: Path | undefined;
  /** Character between user and tag; empty: none. */
  readonly separator: string;
}

export interface HostedAccount {
  readonly address: string;
  readonly passwordHash: string;
  /** 0: no limit. */
  readonly quotaOctets: number;
  readonly disabled: boolean;
  /** Addresses, and `@domain` for all of a domain. */
  readonly granted: ReadonlySet<string>;
}

export interface Transport {
  readonly domain: string;
  readonly kind: 'mailbox' | 'mx' | 'smarthost';
  readonly host: string;
  readonly port: number;
  readonly tls: 'opportunistic' | 'required' | 'implicit' | 'never';
  readonly login: string;
  readonly password: string;
}

/** An address as it was written, with its keys. */
export interface Path {
  readonly address: string;
  readonly domain: string;
  /** Canonical address. */
  readonly key: string;
}

/**
 * The whole directory in memory, by canonical name. Changed only after the database took the change, in one turn of the
 * event loop: whoever reads it sees one state. Accounts are in the order of their making. About 500 octets an account.
 */
export interface State {
  readonly domains: Map<string, HostedDomain>;
  readonly accounts: Map<string, HostedAccount>;
  readonly aliases: Map<string, readonly Path[]>;
  readonly transports: Map<string, Transport>;
}

/** `undefined` where there is no domain in it. */
export function toPath(address: string): Path | undefined {
  const mailbox = splitAddress(address);
  return mailbox && { address, domain: canonicalDomain(mailbox.domain), key: canonicalAddress(address) };
}

export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);

export async function loadState({ db }: Sqlite<Tables>): Promise<State> {
  const [domains, accounts, grants, targets, transports] = await Promise.all([
    db.selectFrom('domain').selectAll().execute(),
    db.selectFrom('account').selectAll().orderBy('id').execute(),
    db.selectFrom('account_grant').selectAll().execute(),
    db.selectFrom('alias_target').selectAll().orderBy('alias').orderBy('position').execute(),
    db.selectFrom('transport').selectAll().execute(),
  ]);
  const grantsBy = Map.groupBy(grants, ({ account }) => account);
  const pathsOf = (rows: readonly { address: string }[]) => rows.map(({ address }) => toPath(address)).filter((path) => path !== undefined);
  return {
    domains: new Map(
      domains.map(({ name, catch_all, separator }) => [name, { name, catchAll: toPath(catch_all), separator } satisfies HostedDomain]),
    ),
    accounts: new Map(
      accounts.map(({ address, password_hash, quota_octets, disabled }) => [
        address,
        {
          address,
          passwordHash: password_hash,
          quotaOctets: quota_octets,
          disabled: disabled !== 0,
          granted: new Set(grantsBy.get(address)?.map(({ pattern }) => pattern)),
        },
      ]),
    ),
    aliases: new Map([...Map.groupBy(targets, ({ alias }) => alias)].map(([alias, rows]) => [alias, pathsOf(rows)])),
    transports: new Map(transports.map((row) => [row.domain, row as Transport])),
  };
}
