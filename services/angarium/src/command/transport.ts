import { connectDirectoryAdmin, TransportKind, type TransportRule } from '@angarium/rpc';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withControl } from './control.ts';
import { readPassword } from './password.ts';
import { print } from './table.ts';
import { CommandError, type Terminal } from './terminal.ts';

const KINDS = { mailbox: TransportKind.MAILBOX, mx: TransportKind.MX, smarthost: TransportKind.SMARTHOST } as const;

function kindName(kind: TransportKind): string {
  return Object.entries(KINDS).find(([, value]) => value === kind)?.[0] ?? 'unknown';
}

/** "host:port"; port 587 when it is left out. */
function parseHostPort(value: string): { host: string; port: number } {
  const match = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(value);
  if (!match?.[1]) throw new InvalidArgumentError('host:port; an IPv6 address in brackets');
  return { host: match[1], port: match[2] === undefined ? 587 : Number(match[2]) };
}

/** The rule that the arguments and options of `add` and `set` describe. */
async function ruleOf(command: Command, terminal: Terminal): Promise<TransportRule> {
  const [domain = '', kind = '', target]: (string | undefined)[] = command.processedArgs;
  const { login, tls } = command.opts<{ login: string; tls: string }>();
  const known = KINDS[kind as keyof typeof KINDS];
  if (known === undefined) throw new CommandError('kind is mailbox, mx or smarthost');
  if ((known === TransportKind.SMARTHOST) !== (target !== undefined)) throw new CommandError('a smarthost, and only that, needs host:port');
  const password = login === '' ? '' : await readPassword(terminal);
  return { domain, kind: known, ...(target === undefined ? { host: '', port: 0 } : parseHostPort(target)), tls, login, password };
}

export function addTransportCommand(program: Command, terminal: Terminal): void {
  const transport = program
    .command('transport')
    .description('how mail for a domain goes on; "*" is every domain without a rule of its own');
  for (const name of ['add', 'set'] as const) {
    transport
      .command(`${name} <domain> <kind> [host:port]`)
      .description(`${name === 'add' ? 'make' : 'replace'} a rule; kind: mailbox, mx or smarthost`)
      .addOption(
        new Option('--tls <mode>', 'TLS with a smarthost')
          .choices(['opportunistic', 'required', 'implicit', 'never'])
          .default('opportunistic'),
      )
      .option('--login <name>', 'log in at the smarthost; the password is read from standard input', '')
      .action(async (...given: unknown[]) => {
        const command = given.at(-1) as Command;
        const transport = await ruleOf(command, terminal);
        await withControl(command, connectDirectoryAdmin, (admin) =>
          admin.putTransport({ transport, mustBeNew: name === 'add', mustExist: name === 'set' }),
        );
      });
  }
  transport
    .command('remove <domain>')
    .description('remove a rule')
    .action((domain: string, _options, command: Command) =>
      withControl(command, connectDirectoryAdmin, (admin) => admin.removeTransport({ domain })),
    );
  transport
    .command('list')
    .description('list the rules')
    .option('--json', 'for programs')
    .action(async (_options, command: Command) => {
      const { transports } = await withControl(command, connectDirectoryAdmin, (admin) => admin.listTransports());
      print(command, terminal, {
        values: transports,
        head: ['DOMAIN', 'KIND', 'HOST', 'TLS', 'LOGIN'],
        row: (one) => [
          one.domain,
          kindName(one.kind),
          one.host === '' ? '' : `${one.host}:${one.port}`,
          one.kind === TransportKind.SMARTHOST ? one.tls : '',
          one.login,
        ],
      });
    });
}
