import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Directory, type DirectoryAdmin, Refused } from '@angarium/rpc';
import type { Config } from '@angarium/runtime';

export interface FirstAccount {
  readonly address: string;
  readonly password: string;
}

/** As it is kept: an account that a start was killed while making is made by the next one. */
type Kept = FirstAccount & { readonly isUnfinished?: true };

const FILE = 'first-account.json';
const PASSWORD_OCTETS = 12;

/**
 * On the first start with an empty directory: hosts the configured hostname and makes the account `me` there, with a
 * random password that is kept in the data folder, readable by its owner only. Later: that account, as long as the file
 * is there and its password still holds.
 */
export async function firstAccount(config: Config, directory: Directory, admin: DirectoryAdmin): Promise<FirstAccount | undefined> {
  const file = join(config.dataFolder, FILE);
  const keep = (kept: Kept) => writeFile(file, `${JSON.stringify(kept)}\n`, { mode: 0o600 });
  const { domains } = await admin.listDomains();
  const kept = await readFile(file, 'utf8').then(
    (text) => JSON.parse(text) as Kept,
    () => undefined,
  );
  if (domains.length > 0 && kept?.isUnfinished === undefined) {
    if (kept === undefined) return undefined;
    const { accepted } = await directory.authenticate({ login: kept.address, password: kept.password });
    return accepted ? kept : undefined;
  }
  const account = { address: `me@${config.hostname}`, password: randomBytes(PASSWORD_OCTETS).toString('base64url') };
  await keep({ ...account, isUnfinished: true });
  await admin.putDomain({ domain: { name: config.hostname, catchAll: '', subaddressSeparator: '+' }, mustBeNew: false, mustExist: false });
  await addOrSet(admin, account);
  await keep(account);
  return account;
}

async function addOrSet(admin: DirectoryAdmin, { address, password }: FirstAccount): Promise<void> {
  try {
    await admin.addAccount({ account: { address, quotaOctets: 0, disabled: false, grantedAddresses: [] }, password });
  } catch (error) {
    if (!(error instanceof Refused) || error.reason !== 'exists') throw error;
    await admin.setAccount({ address, password, grant: [], revoke: [] });
  }
}

/** What a newcomer pastes: one command submits a mail, the other reads it. */
export function firstCommands({ address, password }: FirstAccount, submission: string, pop3s: string): string {
  const login = `--user '${address}:${password}'`;
  return [
    '',
    'Send a mail:',
    `  printf 'From: ${address}\\r\\nTo: ${address}\\r\\nSubject: Hello\\r\\n\\r\\nIt works.\\r\\n' | \\`,
    `    curl --silent --show-error --ssl-reqd --insecure --url smtp://${submission} ${login} --mail-from '${address}' --mail-rcpt '${address}' --upload-file -`,
    'Read it:',
    `  curl --silent --show-error --insecure --url pop3s://${pop3s}/1 ${login}`,
    '',
  ].join('\n');
}
