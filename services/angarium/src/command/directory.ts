import { connectDirectoryAdmin } from '@angarium/rpc';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withControl } from './control.ts';
import { readPassword } from './password.ts';
import { print } from './table.ts';
import type { Terminal } from './terminal.ts';

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

function parseOctets(value: string): number {
  const match = /^(\d+)\s*(B|KiB|MiB|GiB)?$/.exec(value);
  const size = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  if (!Number.isSafeInteger(size)) throw new InvalidArgumentError('a number of octets, or with B, KiB, MiB or GiB; 0: no limit');
  return size;
}

export function addDirectoryCommands(program: Command, terminal: Terminal): void {
  addDomainCommand(program, terminal);
  addAccountCommand(program, terminal);
  addAliasCommand(program, terminal);
}

function addDomainCommand(program: Command, terminal: Terminal): void {
  const domain = program.command('domain').description('domains that have mailboxes here');
  const put = (name: 'add' | 'set', description: string) =>
    domain
      .command(`${name} <domain>`)
      .description(description)
      .option('--catch-all <address>', 'who gets mail for unknown users; "" for nobody', '')
      .option('--separator <character>', 'between user and tag (user+tag@domain); "" for no subaddresses', '+')
      .action((domainName: string, options, command: Command) =>
        withControl(command, connectDirectoryAdmin, (admin) =>
          admin.putDomain({
            domain: { name: domainName, catchAll: options.catchAll, subaddressSeparator: options.separator },
            mustBeNew: name === 'add',
            mustExist: name === 'set',
          }),
        ),
      );
  put('add', 'take mail for a domain');
  put('set', 'change a domain');
  domain
    .command('remove <domain>')
    .description('stop taking mail for a domain that has no accounts')
    .action((name: string, _options, command: Command) =>
      withControl(command, connectDirectoryAdmin, (admin) => admin.removeDomain({ name })),
    );
  domain
    .command('list')
    .description('list the domains')
    .option('--json', 'for programs')
    .action(async (_options, command: Command) => {
      const { domains } = await withControl(command, connectDirectoryAdmin, (admin) => admin.listDomains());
      print(command, terminal, {
        values: domains,
        head: ['DOMAIN', 'CATCH-ALL', 'SEPARATOR'],
        row: (one) => [one.name, one.catchAll, one.subaddressSeparator],
      });
    });
}

function addAccountCommand(program: Command, terminal: Terminal): void {
  const account = program.command('account').description('accounts: a mailbox and a login');
  account
    .command('add <address>')
    .description('make an account; its password is read from standard input')
    .option('--quota <size>', 'largest size of the mailbox ("2GiB"); 0: no limit', parseOctets, 0)
    .option('--grant <address...>', 'further addresses it may send as')
    .action(async (address: string, options, command: Command) => {
      const password = await readPassword(terminal);
      const granted: string[] = options.grant ?? [];
      await withControl(command, connectDirectoryAdmin, (admin) =>
        admin.addAccount({ account: { address, quotaOctets: options.quota, disabled: false, grantedAddresses: granted }, password }),
      );
    });
  account
    .command('set <address>')
    .description('change an account')
    .option('--password', 'read a new password from standard input')
    .option('--quota <size>', 'largest size of the mailbox; 0: no limit', parseOctets)
    .addOption(new Option('--disabled <yes|no>', 'no logins, and its mail is refused').choices(['yes', 'no']))
    .option('--grant <address...>', 'let it send as these addresses')
    .option('--revoke <address...>', 'no longer let it send as these')
    .action(async (address: string, options, command: Command) => {
      const password = options.password ? await readPassword(terminal) : undefined;
      await withControl(command, connectDirectoryAdmin, (admin) =>
        admin.setAccount({
          address,
          password,
          quotaOctets: options.quota,
          disabled: options.disabled === undefined ? undefined : options.disabled === 'yes',
          grant: options.grant ?? [],
          revoke: options.revoke ?? [],
        }),
      );
    });
  account
    .command('remove <address>')
    .description('remove an account; its mail stays in the store')
    .action((address: string, _options, command: Command) =>
      withControl(command, connectDirectoryAdmin, (admin) => admin.removeAccount({ address })),
    );
  account
    .command('list')
    .description('list the accounts')
    .option('--domain <domain>', 'only of this domain', '')
    .option('--json', 'for programs')
    .action(async (options, command: Command) => {
      const { accounts } = await withControl(command, connectDirectoryAdmin, (admin) => admin.listAccounts({ domain: options.domain }));
      print(command, terminal, {
        values: accounts,
        head: ['ACCOUNT', 'QUOTA', 'DISABLED', 'MAY ALSO SEND AS'],
        row: (one) => [
          one.address,
          one.quotaOctets === 0 ? 'none' : String(one.quotaOctets),
          one.disabled ? 'yes' : 'no',
          one.grantedAddresses.join(' '),
        ],
      });
    });
}

function addAliasCommand(program: Command, terminal: Terminal): void {
  const alias = program.command('alias').description('addresses that lead to others, here or elsewhere');
  for (const name of ['add', 'set'] as const) {
    alias
      .command(`${name} <address> <targets...>`)
      .description(name === 'add' ? 'make an alias' : 'replace the targets of an alias')
      .action((address: string, targets: string[], _options, command: Command) =>
        withControl(command, connectDirectoryAdmin, (admin) =>
          admin.putAlias({ alias: { address, targets }, mustBeNew: name === 'add', mustExist: name === 'set' }),
        ),
      );
  }
  alias
    .command('remove <address>')
    .description('remove an alias')
    .action((address: string, _options, command: Command) =>
      withControl(command, connectDirectoryAdmin, (admin) => admin.removeAlias({ address })),
    );
  alias
    .command('list')
    .description('list the aliases')
    .option('--domain <domain>', 'only of this domain', '')
    .option('--json', 'for programs')
    .action(async (options, command: Command) => {
      const { aliases } = await withControl(command, connectDirectoryAdmin, (admin) => admin.listAliases({ domain: options.domain }));
      print(command, terminal, { values: aliases, head: ['ALIAS', 'LEADS TO'], row: (one) => [one.address, one.targets.join(' ')] });
    });
}
