import { connectQueue, type LaneStatus } from '@angarium/rpc';
import type { Command } from 'commander';
import { withControl } from './control.ts';
import { print } from './table.ts';
import type { Terminal } from './terminal.ts';

const HEAD = ['LANE', 'WORKER', 'EPOCH', 'STATE', 'RECIPIENTS', 'WATERMARK', 'END', 'TO REPLAY', 'UNREAD', 'TROUBLE'];

/** Records that the next owner would have to read; and that its owner, if that is who answers, has not read yet. */
const row = ({ lane, worker, epoch, state, recipients, watermark, low, end, position, trouble }: LaneStatus): readonly string[] => [
  String(lane),
  worker || '-',
  String(epoch),
  state,
  String(recipients),
  String(watermark),
  String(end),
  String(end - low),
  state === 'owned' || state === 'recovering' ? '-' : String(end - position),
  trouble,
];

export function addLanesCommand(program: Command, terminal: Terminal): void {
  program
    .command('lanes')
    .description('who owns which part of the queue, and how far it is')
    .option('--json', 'for programs')
    .action(async (_options, command: Command) => {
      const { lanes, workers, worker } = await withControl(command, connectQueue, (client) => client.lanes());
      if (command.opts().json) {
        terminal.write(`${JSON.stringify({ lanes, workers, worker }, null, 2)}\n`);
        return;
      }
      print(command, terminal, { values: lanes, head: HEAD, row });
      const recovering = lanes.filter(({ state }) => state === 'recovering' || state === 'replaying').length;
      terminal.write(`${workers.length} workers; ${recovering} of ${lanes.length} lanes are being taken over; ${worker} says so\n`);
    });
}
