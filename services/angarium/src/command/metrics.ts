import { metricsReference } from '@angarium/runtime';
import type { Command } from 'commander';
import { ALL_METRICS } from '../measures/reference.ts';
import type { Terminal } from './terminal.ts';

export function addMetricsCommand(program: Command, { write }: Terminal): void {
  program
    .command('metrics')
    .description('what is measured: every metric, its labels and its meaning, as a page in Markdown')
    .action(() => {
      write(metricsReference(ALL_METRICS));
    });
}
