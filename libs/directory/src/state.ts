import { canonicalAddress, canonicalDomain, splitAddress } from '@angarium/smtp';

export interface HostedDomain {
  readonly name: string;
  /** Who gets mail for unknown users. */
  readonly catchAll: Path | undefined;
  /** Character between user and tag; empty: none. */
  readonly separator: string;
}

export interface HostedAccount {
  readonly address: string;
  /** Accounts that had the address before. */
  readonly predecessors: number;
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
  /** Number of the last change that is in it. */
  version: number;
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

/** Where the account's mail is kept. No domain has a `~`, so that this is no other account's. */
export const mailboxOf = ({ address, predecessors }: HostedAccount): string =>
  predecessors === 0 ? address : `${address}~${predecessors}`;

export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);
