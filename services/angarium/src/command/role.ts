import type { Command } from 'commander';
import { configOf } from './config.ts';
import { CommandError, type Terminal } from './terminal.ts';

/** Roles that share the embedded log, which one process owns. */
const LOG_ROLES = ['ingress', 'routing', 'delivery'] as const;

/** The services are loaded by the roles alone: the other commands start in a fraction of the time. */
export function addRoleCommands(program: Command, { write }: Terminal): void {
  program
    .command('up')
    .description('run all services in this process, with the embedded log')
    .action(async (_options, command: Command) => {
      const config = configOf(command);
      const { runAll } = await import('../up/run.ts');
      await runAll(config, write);
    });
  program
    .command('mailbox')
    .description('run the mailbox service alone; the process with the data folder names it as mailboxAt')
    .action(async (_options, command: Command) => {
      const config = configOf(command);
      const { runMailbox } = await import('../up/mailbox.ts');
      await runMailbox(config, write);
    });
  for (const role of LOG_ROLES) {
    program.command(role, { hidden: true }).action(() => {
      throw new CommandError(
        `${role} cannot run alone on the embedded log: ingress, routing and delivery live in the one process that holds the data folder.\n` +
          'Run `angarium up`; the mailbox may run alone (`angarium mailbox`, and mailboxAt in the configuration of the other).',
        2,
      );
    });
  }
}
