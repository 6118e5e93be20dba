import { Command } from 'commander';
import { addClusterCommand } from './cluster.ts';
import { addConfigCommand } from './config.ts';
import { addDirectoryCommands } from './directory.ts';
import { addFolderCommands } from './folder.ts';
import { addLanesCommand } from './lanes.ts';
import { addLimitsCommand } from './limits.ts';
import { addMetricsCommand } from './metrics.ts';
import { addQueueCommand } from './queue.ts';
import { addRoleCommands } from './role.ts';
import type { Terminal } from './terminal.ts';
import { addTopicsCommand } from './topics.ts';
import { addTransportCommand } from './transport.ts';

const HELP = `
Mail goes ingress -> log -> routing -> log -> delivery -> mailbox or another host.

First steps:
  angarium up                                  run everything in this process; data in ./data
  angarium domain add example.org              take mail for a domain
  angarium account add ann@example.org         make an account; the password is read from standard input
  angarium queue list                          what waits, and why: angarium queue why <queue id>

Commands talk to the running process through the control socket of its data folder; run them with the same
--config, or in the same folder. Wherever something is listed, --json gives it to programs.
`;

export function createProgram(terminal: Terminal): Command {
  const program = new Command('angarium')
    .description('Angarium, a distributed, queue-based mail transfer agent')
    .option('-c, --config <file>', 'configuration file (YAML); without it the environment and the defaults', process.env.ANGARIUM_CONFIG)
    .addHelpText('after', HELP)
    .showHelpAfterError('(angarium --help shows what there is)');
  addRoleCommands(program, terminal);
  addDirectoryCommands(program, terminal);
  addTransportCommand(program, terminal);
  addQueueCommand(program, terminal);
  addLanesCommand(program, terminal);
  addLimitsCommand(program, terminal);
  addFolderCommands(program, terminal);
  addTopicsCommand(program, terminal);
  addClusterCommand(program, terminal);
  addConfigCommand(program, terminal);
  addMetricsCommand(program, terminal);
  return program;
}
