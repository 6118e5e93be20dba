import { connectQueue, type LimitStatus, type LimitValues } from '@angarium/rpc';
import { durationMs } from '@angarium/runtime';
import { type Command, InvalidArgumentError } from 'commander';
import { withControl } from './control.ts';
import { instant, print } from './table.ts';
import { CommandError, type Terminal } from './terminal.ts';

const HEAD = ['LIMIT', 'CONNECTIONS', 'MESSAGES', 'CONFIGURED', 'SINCE', 'REASON', 'HOSTS'];

const messagesOf = ({ messages, perMs }: LimitValues): string => (messages === undefined ? '-' : `${messages} in ${perMs} ms`);
const connectionsOf = ({ connections }: LimitValues): string => (connections === undefined ? '-' : String(connections));

function row({ name, hosts, configured, ordered, sinceMs, reason }: LimitStatus): readonly string[] {
  const values = ordered ?? configured ?? { perMs: 0 };
  const other = ordered && configured ? `${connectionsOf(configured)} / ${messagesOf(configured)}` : '';
  return [name, connectionsOf(values), messagesOf(values), other, ordered ? instant(sinceMs) : '', reason, hosts.join(' ')];
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError('a number of 1 or more');
  return count;
}

function parsePeriod(text: string): number {
  const { data: ms = 0 } = durationMs.safeParse(text);
  if (ms < 1) throw new InvalidArgumentError('a duration such as 1s or 1m');
  return ms;
}

export function addLimitsCommand(program: Command, terminal: Terminal): void {
  const limits = program.command('limits').description('what receivers allow all workers together');
  limits
    .command('list', { isDefault: true })
    .description('what holds now, and what is configured')
    .option('--json', 'for programs')
    .action(async (_options, command: Command) => {
      const { limits: values } = await withControl(command, connectQueue, (client) => client.limits());
      print(command, terminal, { values, head: HEAD, row });
    });
  limits
    .command('set <name>')
    .description('other values for a limit of the configuration, in all workers, until they are reset')
    .option('--connections <number>', 'connections open at once; left out: no limit', parseCount)
    .option('--messages <number>', 'messages that begin within the period; left out: no limit', parseCount)
    .option('--per <duration>', 'the period', parsePeriod, 1000)
    .option('--reason <text>', 'shown to whoever asks why', '')
    .action((name: string, { connections, messages, per, reason }, command: Command) =>
      withControl(command, connectQueue, (client) => client.setLimit({ name, values: { connections, messages, perMs: per }, reason })),
    );
  limits
    .command('reset <name>')
    .description('as configured again')
    .action(async (name: string, _options, command: Command) => {
      const { wasSet } = await withControl(command, connectQueue, (client) => client.resetLimit({ name }));
      if (!wasSet) throw new CommandError(`${name} has the values of the configuration already`);
    });
}
