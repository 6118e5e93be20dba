import type { DirectoryAdmin, SetAccountRequest } from '@angarium/rpc';
import { canonicalDomain } from '@angarium/smtp';
import { type ChangeContext, checkPut, commit, parseAddress, parseDomain, parseLocalAddress } from './change.ts';
import type { Credentials } from './credentials.ts';
import { domainOf, type HostedAccount } from './state.ts';

const PASSWORD_MAX_OCTETS = 1024;

/** An address, or `@domain` (also written `*@domain`) for all of a domain. */
function parseGrant(context: ChangeContext, text: string): string {
  const domain = /^\*?@(.+)$/.exec(text)?.[1];
  return domain === undefined ? parseAddress(context, text).key : `@${parseDomain(context, domain)}`;
}

function checkAccount({ errors }: ChangeContext, password: string | undefined, quotaOctets: number | undefined): void {
  if (password === '') throw errors.refused('invalid', 'the password is empty');
  if (Buffer.byteLength(password ?? '') > PASSWORD_MAX_OCTETS) {
    throw errors.refused('invalid', `the password has more than ${PASSWORD_MAX_OCTETS} octets`);
  }
  if (quotaOctets !== undefined && !Number.isSafeInteger(quotaOctets))
    throw errors.refused('invalid', 'the quota is not a number of octets');
}

function existing({ state, errors }: ChangeContext, address: string): HostedAccount {
  const account = state.accounts.get(address);
  if (account) return account;
  throw errors.refused('notFound', `${address} is not an account`);
}

function grantRows({ database: { db } }: ChangeContext, account: string, granted: ReadonlySet<string>) {
  const removed = { query: db.deleteFrom('account_grant').where('account', '=', account) };
  if (granted.size === 0) return [removed];
  return [removed, { query: db.insertInto('account_grant').values([...granted].map((pattern) => ({ account, pattern }))) }];
}

async function changed(context: ChangeContext, credentials: Credentials, request: SetAccountRequest): Promise<HostedAccount> {
  const account = existing(context, parseAddress(context, request.address).key);
  const { password, quotaOctets = account.quotaOctets, disabled = account.disabled } = request;
  checkAccount(context, password, quotaOctets);
  const granted = new Set(account.granted);
  for (const text of request.revoke) {
    const pattern = parseGrant(context, text);
    if (!granted.delete(pattern)) throw context.errors.refused('notFound', `${account.address} was not granted ${pattern}`);
  }
  for (const text of request.grant) granted.add(parseGrant(context, text));
  const passwordHash = password === undefined ? account.passwordHash : await credentials.hash(password);
  return { ...account, passwordHash, quotaOctets, disabled, granted };
}

type AccountAdmin = Pick<DirectoryAdmin, 'listAccounts' | 'addAccount' | 'setAccount' | 'removeAccount'>;

export function createAccountAdmin(context: ChangeContext, credentials: Credentials): AccountAdmin {
  const { state } = context;
  const { db } = context.database;
  return {
    listAccounts: async ({ domain }) => ({
      accounts: [...state.accounts.values()]
        .filter(({ address }) => domain === '' || domainOf(address) === canonicalDomain(domain))
        .map(({ address, quotaOctets, disabled, granted }) => ({ address, quotaOctets, disabled, grantedAddresses: [...granted].sort() }))
        .sort((a, b) => (a.address < b.address ? -1 : 1)),
    }),
    addAccount: async ({ account: wanted, password }) => {
      const { key: address, domain } = parseLocalAddress(context, wanted?.address ?? '');
      checkPut(context, address, state.accounts.has(address), { mustBeNew: true, mustExist: false });
      const { quotaOctets = 0, disabled = false } = wanted ?? {};
      checkAccount(context, password, quotaOctets);
      const granted = new Set(wanted?.grantedAddresses.map((text) => parseGrant(context, text)));
      const passwordHash = await credentials.hash(password);
      const removed = await db.selectFrom('removed_account').select('count').where('address', '=', address).executeTakeFirst();
      const predecessors = removed?.count ?? 0;
      const account: HostedAccount = { address, predecessors, passwordHash, quotaOctets, disabled, granted };
      const row = { address, domain, predecessors, password_hash: passwordHash, quota_octets: quotaOctets, disabled: Number(disabled) };
      const steps = [{ query: db.insertInto('account').values(row) }, ...grantRows(context, address, granted)];
      await commit(context, { kind: 'account', name: address, steps, apply: () => state.accounts.set(address, account) });
    },
    setAccount: async (request) => {
      const account = await changed(context, credentials, request);
      const { address, passwordHash, quotaOctets, disabled, granted } = account;
      const row = { password_hash: passwordHash, quota_octets: quotaOctets, disabled: Number(disabled) };
      const query = db.updateTable('account').set(row).where('address', '=', address);
      const steps = [{ query }, ...grantRows(context, address, granted)];
      await commit(context, { kind: 'account', name: address, steps, apply: () => state.accounts.set(address, account) });
    },
    removeAccount: async ({ address: text }) => {
      const { key } = parseAddress(context, text);
      const { predecessors } = existing(context, key);
      const row = { address: key, count: predecessors + 1 };
      const steps = [
        { query: db.deleteFrom('account').where('address', '=', key) },
        { query: db.deleteFrom('removed_account').where('address', '=', key) },
        { query: db.insertInto('removed_account').values(row) },
      ];
      await commit(context, { kind: 'account', name: key, steps, apply: () => state.accounts.delete(key) });
    },
  };
}
