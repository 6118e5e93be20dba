import type { Command } from 'commander';
import { configOf } from './config.ts';
import { CommandError, type Terminal } from './terminal.ts';
import { told } from './topics.ts';

/** Roles that share the log. The embedded one belongs to one process. */
const LOG_ROLES = ['ingress', 'routing', 'delivery'] as const;

const NEEDS_KAFKA = (role: string): string =>
  `${role} cannot run alone on the embedded log: ingress, routing and delivery live in the one process that holds the data folder.\n` +
  'Run `angarium up`, or name the brokers of a Kafka cluster as kafka.brokers; the mailbox may run alone in any case (`angarium mailbox`,\n' +
  'and mailboxAt in the configuration of the other).';

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
  program
    .command('scaler')
    .description('say how many delivery workers are wanted, for Prometheus, KEDA and Kubernetes; carries no mail')
    .action(async (_options, command: Command) => {
      const config = configOf(command);
      const { runScaler } = await import('../up/scaler.ts');
      await runScaler(config);
    });
  for (const role of LOG_ROLES) {
    program
      .command(role)
      .description(`run the ${role} service alone, over a log on Kafka (kafka.brokers)`)
      .action(async (_options, command: Command) => {
        const config = configOf(command);
        if (config.kafka.brokers.length === 0) throw new CommandError(NEEDS_KAFKA(role), 2);
        const { runRole } = await import('../up/roles.ts');
        await told(runRole(role, config));
      });
  }
}
